"""The model card: what a bundle's model is, in words for who is to trust it."""

from collections.abc import Iterator
from typing import Any

from ..evaluation.statistics import FEW
from .bundle import Manifest

CONTENTS = {
    "float32": "the network",
    "float16": "the network in float16",
    "int8": "the network in int8",
    "segment": "the whole way from raw counts to mask",
    "statistics": "what normalises an image",
    "resample": "the change of scale",
    "recipe": "how to build engines",
}

SCALES = {
    "none": "Images are shown to the network as they are; their pixel size is not used.",
    "factor": "Images are shown to the network at {factor:g} of their size; their pixel size is not used.",
    "shape": "Images are brought to {height} x {width} pixels for the network.",
    "pixel_size": (
        "Images are brought to {pixel_size:g} nm per pixel for the network; the pixel size has to be known, and "
        "between {low:g} and {high:g} nm."
    ),
}


def model_card(manifest: Manifest) -> str:
    """Return ``MODEL_CARD.md``, after Mitchell et al. 2019 (doi:10.1145/3287560.3287596)."""
    return "\n".join(line for part in (_about, _use, _data, _scores, _limits, _files) for line in [*part(manifest), ""])


def _about(manifest: Manifest) -> Iterator[str]:
    made, contract = manifest.provenance, manifest.contract
    model = made.config["model"]
    yield f"# A model that finds {_listed(contract.classes[1:])} on cryo-SEM micrographs"
    yield ""
    yield f"- Written by {manifest.created_by}, from a run with seed {made.seed}; the weights are of epoch " + (
        f"{made.best_epoch}." if made.best_epoch else "unknown."
    )
    yield (
        f"- Network: {model['architecture']}, depth {model['depth']}, {model['base_filters']} base filters; stride "
        f"{manifest.network.stride}, halo {manifest.network.halo}."
    )
    yield "- Trained with " + ", ".join(f"{name} {version}" for name, version in made.packages.items()) + "."
    yield f"- SHA-256 of the trained weights: `{made.model}`."


def _use(manifest: Manifest) -> Iterator[str]:
    contract = manifest.contract
    low, high = contract.pixel_size_range or (0, 0)
    height, width = contract.shape or (0, 0)
    facts = {"low": low, "high": high, "height": height, "width": width}
    yield "## Intended use"
    yield ""
    yield (
        "To find what it was trained to find, on images like those it was trained on: the same kind of specimen, "
        "detector and field of view. Not for diagnosis, and not without a look at the masks."
    )
    yield ""
    yield "- In: the detector's raw counts, one gray channel, 8 or 16 bit or float, without a data bar."
    yield "- " + SCALES[contract.scale].format(**contract.model_dump(include={"factor", "pixel_size"}), **facts)
    yield (
        "- Out: class indices "
        + ", ".join(f"{i} {name}" for i, name in enumerate(contract.classes))
        + "; "
        + (
            f"foreground where the probability is at least {contract.threshold:g}."
            if contract.channels == 1
            else "the most probable class."
        )
    )


def _data(manifest: Manifest) -> Iterator[str]:
    made = manifest.provenance
    yield "## Data"
    yield ""
    yield (
        f"{_count(made.split.get('train'))} learned from, {_count(made.split.get('validation'))} chose the best epoch "
        f"and the threshold. `manifest.json` has the SHA-256 of each."
    )
    groups = made.split.get("groups")
    if groups:
        yield f"They are of {len(set(groups.values()))} groups (grids, sessions, or overlapping fields)."
    source = (
        "cut from training images: who gets the bundle gets them" if made.golden == "training images" else "phantoms"
    )
    yield f"The golden images are {source}." + (
        f" The model finds no {_listed(made.unseen)} on any of them." if made.unseen else ""
    )


def _scores(manifest: Manifest) -> Iterator[str]:
    made = manifest.provenance
    yield "## Scores"
    yield ""
    if made.validation_dice is not None:
        yield f"Dice {made.validation_dice:.3f} on the validation images, which chose the epoch: rather too good."
    if made.scores is None:
        yield "No evaluation on unseen images came with the export (`--evaluation DIR` takes one along)."
        return
    yield f"On {made.scores.get('images', 'unknown')} images of an evaluation, means over images:"
    yield ""
    yield "| | mean | 95% interval |"
    yield "|---|---|---|"
    parts = {"": made.scores, **{f" of {name}": {"metrics": of} for name, of in made.scores.get("classes", {}).items()}}
    for whose, part in parts.items():
        for name, value in part.get("metrics", {}).items():
            yield f"| {name}{whose} | {_number(value.get('mean'))} | {_interval(value.get('ci95'))} |"
    if (drawn := (made.scores.get("groups") or {}).get("count") or made.scores.get("images") or FEW) < FEW:
        yield ""
        yield f"From {drawn} images or groups an interval is itself uncertain, and tends to be too narrow."


def _limits(manifest: Manifest) -> Iterator[str]:
    off, dice = manifest.tolerances.probability, manifest.tolerances.dice
    yield "## Limits"
    yield ""
    yield "- An image of low contrast gets status 4 and a mask that wants a look: an empty square is not full of cells."
    yield "- A mask is empty where it would be a guess: pixel size unknown (status 1) or out of range (2), image too"
    yield "  small (3), a pixel that is no number (5)."
    yield f"- In float32, a runtime may be off the trained model's probability by {off:.1e}; its mask may differ only"
    yield f"  where that decides. In float16 and int8, each class keeps a Dice of {dice:g} with it, or `verify` fails."


def _files(manifest: Manifest) -> Iterator[str]:
    yield "## Files"
    yield ""
    for name, files in manifest.formats.items():
        for path in dict.fromkeys(files.values()):
            holds = _listed(tuple(CONTENTS[what] for what, where in files.items() if where == path))
            yield f"- `{path}` ({name}): {holds}"
    for what, why in manifest.provenance.left_out.items():
        yield f"- {what} is left out: {why}"
    yield ""
    yield "`cryoseg-tf verify .` proves on a machine that each of them answers as the trained model did."


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _count(names: Any) -> str:
    count = len(names) if isinstance(names, list) else 0
    return f"{count} image{'' if count == 1 else 's'}"


def _number(value: Any) -> str:
    return "none" if value is None else f"{value:.3f}"


def _interval(value: Any) -> str:
    return " to ".join(_number(end) for end in value) if value else "none"
