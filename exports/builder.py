"""Fill a bundle's folder: ``python -m cryoseg_tf.exports.builder JOB``, as ``exporter`` calls it.

What it has to say goes to standard output, a line each, marked by its kind.
"""

import logging
import sys
import threading
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryoseg_tf.errors import CryoSegError
from cryoseg_tf.io import atomic
from cryoseg_tf.io.process import leave_with_parent
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation.keras_predictor import KerasPredictor
from cryoseg_tf.segmentation.predictor import Array
from cryoseg_tf.segmentation.segmenter import Segmenter

from .bundle import MANIFEST, Bundle, Manifest, Network, Provenance, Tolerances
from .card import model_card
from .examples import calibration_tiles, find_examples, synthetic_examples
from .exporter import Job, read_scores
from .golden import Golden, write_golden
from .verifier import reduced_failures
from .writers import WRITERS

log = logging.getLogger("cryoseg_tf")


class Builder:
    """Writes each part of one bundle."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.folder = job.destination
        self.run = Run(job.run)
        self.contract = self.run.contract
        self.stride = self.run.config.model.stride
        self.model = self.run.load_model()
        self.predictor = KerasPredictor(self.model, self.run.config.model)
        self._scratch = TemporaryDirectory()

    def build(self) -> None:
        """Write everything, the manifest last."""
        golden = self._golden()
        formats: dict[str, dict[str, str]] = {}
        for name in self.job.formats:
            log.info("writing %s", name)
            formats |= WRITERS[name](self)
        manifest = self._manifest(formats, golden)
        self._write(manifest)
        kept = self._without_failures(manifest)
        if kept != manifest:
            self._write(kept)

    def _write(self, manifest: Manifest) -> None:
        (self.folder / "MODEL_CARD.md").write_text(model_card(manifest), "utf-8")
        files = {p.relative_to(self.folder).as_posix(): atomic.sha256(p) for p in _files(self.folder)}
        files.pop(MANIFEST, None)
        atomic.write_json(self.folder / MANIFEST, manifest.model_copy(update={"files": files}).model_dump(mode="json"))

    def _without_failures(self, manifest: Manifest) -> Manifest:
        """Leave out what in float16 or int8 does not answer as the model does: nobody should have to find out."""
        formats = {name: dict(files) for name, files in manifest.formats.items()}
        left_out = dict(manifest.provenance.left_out)
        log.info("checking float16 and int8 against the trained model's own masks")
        for check in reduced_failures(Bundle.open(self.folder)):
            what = f"{check.runtime} {check.precision}"
            log.warning("%s is left out of the bundle: %s", what, check.reason)
            left_out[what] = check.reason
            path = self.folder / formats[check.runtime].pop(check.precision)
            for part in path.parent.glob(f"{path.stem}.*"):
                part.unlink()
        provenance = manifest.provenance.model_copy(update={"left_out": left_out})
        return manifest.model_copy(update={"formats": formats, "provenance": provenance})

    @cached_property
    def examples(self) -> list[Any]:
        """Images of the run; none where they are gone."""
        found = find_examples(self.run, self.job.options.data)
        if not found:
            log.warning(
                "the images that %s learned from are not where they were: golden images are synthetic, and int8, "
                "which takes its ranges from them, is left out; --data names the folder they are in now",
                self.run.path,
            )
        return found

    @cached_property
    def tiles(self) -> list[Array]:
        """Normalised tiles of the run's images."""
        return calibration_tiles(self.run, self.examples)

    @cached_property
    def onnx_network(self) -> Path:
        """The network as ONNX in float32, from which other formats are made; kept if ONNX was asked for."""
        from . import onnx

        kept = "onnx" in self.job.formats
        path = (self.folder / "onnx" if kept else Path(self._scratch.name)) / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        onnx.write_network(self.model, path, self.predictor.halo is not None, 4 * self.stride)
        return path

    @cached_property
    def onnx_files(self) -> dict[str, Path]:
        """The network as ONNX, in int8 too where its ranges are known, and the steps around it, in one folder."""
        from . import onnx

        source = self.onnx_network
        folder = source.parent
        files = {"float32": source}
        if self.tiles:
            files["int8"] = folder / "model-int8.onnx"
            onnx.write_int8(source, files["int8"], self.tiles)
        onnx.write_steps(self.contract, folder)
        onnx.write_segment(self.model, self.contract, self.stride, folder / "segment.onnx")
        return files | {name: folder / f"{name}.onnx" for name in ("statistics", "resample", "segment")}

    def _golden(self) -> Golden:
        log.info("segmenting golden images")
        segmenter = Segmenter(self.predictor, self.contract, tile=None)
        return write_golden(segmenter, self.examples or synthetic_examples(self.run), self.folder / "golden")

    def _manifest(self, formats: dict[str, dict[str, str]], golden: Golden) -> Manifest:
        run, info = self.run, self.run.info
        environment = run.environment()
        return Manifest(
            formats=formats,
            contract=self.contract,
            network=Network(
                channels=self.contract.channels,
                stride=self.stride,
                halo=self.predictor.halo,
                tile=self.tile,
            ),
            tolerances=Tolerances(probability=golden.tolerance),
            golden=golden.cases,
            provenance=Provenance(
                model=run.fingerprint(),
                images=environment["files"],
                split=run.split(),
                config=run.config.model_dump(mode="json"),
                seed=run.config.seed,
                packages=environment["packages"],
                best_epoch=info.best_epoch,
                validation_dice=info.validation_dice,
                networks=len(run.members()),
                augmented=info.augmented,
                scores=read_scores(evaluation) if (evaluation := self.job.options.evaluation) else None,
                left_out={}
                if self.examples
                else {"int8": "the training images are gone, from which it takes its ranges"},
                golden="training images" if self.examples else "phantoms",
                unseen=golden.unseen,
            ),
        )

    @property
    def tile(self) -> int:
        """Return the side of a tile: a multiple of the stride, with room for a core between its halos."""
        wanted = -(-self.job.options.tile // self.stride) * self.stride
        return max(wanted, 3 * (self.predictor.halo or 0))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class _Voice(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.levelname.lower(), record.getMessage())


def say(kind: str, text: str) -> None:
    """Say something to the process that waits."""
    sys.stdout.write(f"cryoseg-{kind} {' '.join(text.split())}\n")
    sys.stdout.flush()


def main() -> int:
    """Do the job that the first argument describes."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    log.addHandler(_Voice(logging.INFO))
    log.setLevel(logging.INFO)
    try:
        Builder(Job.model_validate_json(sys.argv[1])).build()
    except CryoSegError as error:
        say("error", str(error))
    except OSError as error:
        say("error", atomic.explain(error))
    except MemoryError:
        say("error", "the export needs more memory than there is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
