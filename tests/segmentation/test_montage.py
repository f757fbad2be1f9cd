"""What is read and written piece by piece is what would have been made of the whole."""

import subprocess
import sys
import time

import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from cryoseg_tf import Run, Segmenter, read_micrograph
from cryoseg_tf.config import Contract, ModelConfig
from cryoseg_tf.data.preprocess import Status, image_statistics
from cryoseg_tf.errors import ImageError
from cryoseg_tf.io import micrograph as reading
from cryoseg_tf.io.micrograph import is_montage, open_montage
from cryoseg_tf.io.pyramid import write_pyramid
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.segmentation.batch import segment_files
from cryoseg_tf.segmentation.keras_predictor import KerasPredictor
from cryoseg_tf.segmentation.local import local_statistics

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]
SHAPE = (301, 420)


@pytest.fixture
def montages(monkeypatch):
    """Every image counts as one."""
    monkeypatch.setattr(reading, "MONTAGE", 0)
    monkeypatch.setattr(reading, "MONTAGE_BYTES", 0)


def pixels(dtype, shape=SHAPE):
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 200, (-(-shape[0] // 16), -(-shape[1] // 16))), np.ones((16, 16)))
    return (coarse[: shape[0], : shape[1]] + rng.integers(0, 50, shape)).astype(dtype)


def tiled(path, image):
    tifffile.imwrite(path, image, tile=(64, 64), compression="zlib", photometric="minisblack")


def striped(path, image):
    tifffile.imwrite(path, image, bigtiff=True, rowsperstrip=7, photometric="minisblack")


def packed(path, image):
    tifffile.imwrite(path, image, compression="lzw", rowsperstrip=16, predictor=True, photometric="minisblack")


def mrc(path, image):
    mrcfile.write(path, image.astype(np.int8 if image.dtype == np.uint8 else image.dtype))


def ome_zarr(path, image):
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=image, chunks=(64, 64))
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}


NAMES = {mrc: "x.mrc", ome_zarr: "x.ome.zarr"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("write", [tiled, striped, packed, mrc, ome_zarr], ids=lambda f: f.__name__)
def test_pixels_and_metadata_are_those_of_the_whole(tmp_path, write, dtype):
    path = tmp_path / NAMES.get(write, "x.tif")
    write(path, pixels(dtype))
    whole, opened = read_micrograph(path, pixel_size=5.0, data_bar=9), open_montage(path, pixel_size=5.0, data_bar=9)
    assert (opened.pixels.shape, opened.pixel_size, opened.data_bar) == (whole.pixels.shape, 5.0, 9)
    for place in [(slice(0, 292), slice(0, 420)), (slice(100, 171), slice(33, 140))]:
        np.testing.assert_array_equal(opened.pixels[place], whole.pixels[place])


def segmenter(trained, scale, **options):
    run = Run(trained)
    scaling = {"scale": "factor" if scale else "none", "factor": scale, "field": None}
    contract = run.contract.model_copy(update=scaling | options)
    return Segmenter(KerasPredictor(run.load_model(), run.config.model), contract, tile=96)


@pytest.mark.parametrize("scale", [None, 0.37, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.5, 1.6))])
def test_masks_are_those_of_the_whole_at_any_scale(trained, tmp_path, montages, scale):
    image, out = tmp_path / "x.tif", tmp_path / "out"
    tiled(image, pixels(np.uint16))
    with_it = segmenter(trained, scale, minimum_contrast=0.0)
    (outcome,) = segment_files(with_it, [image], out, model="m")
    whole = with_it.segment(read_micrograph(image)).mask
    assert outcome.mask == out / "x.ome.tif"
    assert 0 < outcome.foreground < 1
    np.testing.assert_array_equal(tifffile.imread(outcome.mask), whole)
    assert sorted(path.name for path in out.iterdir()) == ["records.jsonl", "x.ome.tif"]
    (again,) = segment_files(with_it, [image], out, model="m")
    assert again.skipped


class Stumbling:
    """A predictor that fails after so many tiles, and counts them."""

    def __init__(self, predictor, tiles):
        self.predictor, self.left, self.seen = predictor, tiles, 0
        self.channels, self.stride, self.halo, self.batch = (
            getattr(predictor, name) for name in ("channels", "stride", "halo", "batch")
        )

    def map(self, batches):
        for result in self.predictor.map(batches):
            if self.seen == self.left:
                raise ImageError("stumbled")
            self.seen += 1
            yield result


def test_ome_zarr_is_named_or_lies_in_a_folder(cli, trained, tmp_path, montages):
    image = tmp_path / "images" / "x.ome.zarr"
    ome_zarr(image, pixels(np.uint16))
    tiled(tmp_path / "x.tif", pixels(np.uint16))
    for words in (["segment", trained, image], ["segment", trained, tmp_path / "images"]):
        result = cli(*words, "--pixel-size", 100, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
    assert "done before" in result.stdout
    assert cli("segment", trained, tmp_path / "x.tif", "--pixel-size", 100, "--out", tmp_path / "tiff").exit_code == 0
    masks = [tifffile.imread(tmp_path / out / "x.ome.tif") for out in ("out", "tiff")]
    np.testing.assert_array_equal(*masks)
    result = cli("segment", trained, image, "--pixel-size", 100, "--out", image / "masks")
    assert result.exit_code == 2
    assert f"{image} is an image, of OME-Zarr: choose another --out" in result.stderr
    assert not (image / "masks").exists()


@pytest.mark.parametrize("scale", [None, 0.7])
def test_it_goes_on_where_it_was(trained, tmp_path, montages, scale):
    image, out = tmp_path / "x.tif", tmp_path / "out"
    tiled(image, pixels(np.uint8, (900, 120)))
    with_it = segmenter(trained, scale, minimum_contrast=0.0)
    whole = with_it.segment(read_micrograph(image)).mask
    network = with_it.predictor
    with_it.predictor = counting = Stumbling(network, 10**6)
    with_it.segment(read_micrograph(image))
    all_tiles = counting.seen
    with_it.predictor = Stumbling(network, all_tiles * 6 // 10)
    (failed,) = segment_files(with_it, [image], out, model="m")
    assert failed.error == "stumbled"
    with_it.predictor = rest = Stumbling(network, 10**6)
    (outcome,) = segment_files(with_it, [image], out, model="m")
    assert rest.seen <= all_tiles * 4 // 10 + 3  # at the network's scale a row of tiles is made once more
    np.testing.assert_array_equal(tifffile.imread(outcome.mask), whole)


@pytest.mark.parametrize("scale", [None, 0.5])
def test_each_square_is_normalised_as_it_would_be_alone(trained, tmp_path, montages, scale):
    """Squares of one pattern, each of another brightness: what is found in their middles is the same."""
    square = pixels(np.uint8, (128, 128)).astype(np.uint16)
    rows = [np.hstack([square * (1 + down + 3 * across) + 40 * across for across in range(4)]) for down in range(3)]
    image = tmp_path / "x.tif"
    tiled(image, np.vstack(rows))
    side = int(128 * (scale or 1))
    with_it = segmenter(trained, scale, minimum_contrast=0.0, field=(side, side))
    (outcome,) = segment_files(with_it, [image], tmp_path / "out", model="m")
    mask = tifffile.imread(outcome.mask)
    centres = [mask[128 * d + 62 : 128 * d + 66, 128 * a + 62 : 128 * a + 66] for d in range(3) for a in range(4)]
    assert outcome.status == 0
    assert np.mean([np.mean(centre == centres[0]) for centre in centres]) > 0.9
    with_it.contract = with_it.contract.model_copy(update={"field": None})
    (outcome,) = segment_files(with_it, [image], tmp_path / "whole", model="m")
    assert np.mean(tifffile.imread(outcome.mask)[:, :128]) < np.mean(mask[:, :128])  # the darkest were lost


def test_statistics_are_those_of_each_window_and_change_without_a_seam():
    contract = Contract(classes=("a", "b"), field=(50, 60))
    square = pixels(np.uint16, (50, 60))
    found = local_statistics(np.vstack([np.hstack([square, 3 * square + 7, square])] * 3), (150, 180), contract)
    for column, own in enumerate([square, 3 * square + 7, square]):
        offset, scale, contrast = image_statistics(own, contract)
        np.testing.assert_allclose(found.offset[:, column], offset)
        np.testing.assert_allclose(found.scale[:, column], scale)
        np.testing.assert_allclose(found.contrast[:, column], contrast)
    offset, scale = found.at(slice(0, 170), slice(0, 190))
    assert np.abs(np.diff(offset, axis=1)).max() <= 1.001 * np.abs(np.diff(found.offset[0])).max() / 60
    np.testing.assert_allclose(offset[:, 89:91], found.offset[0, 1], rtol=0.02)
    np.testing.assert_array_equal(scale[0], scale[-1])
    assert local_statistics(square, (50, 60), contract) is None
    assert local_statistics(square, (150, 180), Contract(classes=("a", "b"))) is None


def test_a_montage_of_empty_squares_has_low_contrast(trained, tmp_path, montages):
    image = tmp_path / "x.tif"
    tiled(image, np.random.default_rng(0).integers(90, 110, SHAPE).astype(np.uint8))
    (outcome,) = segment_files(
        segmenter(trained, None, field=(64, 64), minimum_contrast=5.0), [image], tmp_path / "out", model="m"
    )
    assert outcome.status == Status.LOW_CONTRAST


def test_other_settings_begin_anew(trained, tmp_path, montages):
    image, out = tmp_path / "x.tif", tmp_path / "out"
    tiled(image, pixels(np.uint8))
    with_it = segmenter(trained, None, minimum_contrast=0.0)
    network = with_it.predictor
    with_it.predictor = Stumbling(network, 20)
    assert [o.error for o in segment_files(with_it, [image], out, model="m")] == ["stumbled"]
    with_it.predictor = network
    with_it.contract = with_it.contract.model_copy(update={"threshold": 0.9})
    (outcome,) = segment_files(with_it, [image], out, model="m")
    np.testing.assert_array_equal(tifffile.imread(outcome.mask), with_it.segment(read_micrograph(image)).mask)


def test_a_damaged_tile_is_one_clear_error(trained, tmp_path, montages):
    image = tmp_path / "x.tif"
    tiled(image, pixels(np.uint8))
    with tifffile.TiffFile(image) as tiff:
        offset = tiff.pages[0].dataoffsets[-3]
    content = bytearray(image.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    image.write_bytes(content)
    (outcome,) = segment_files(segmenter(trained, None), [image], tmp_path / "out", model="m")
    assert outcome.error.startswith(f"{image} is damaged")


def test_what_cannot_be_streamed_says_so(trained, tmp_path, montages):
    image = tmp_path / "x.tif"
    tiled(image, pixels(np.uint8))
    (outcome,) = segment_files(segmenter(trained, None), [image], tmp_path / "out", model="m", unsure=True)
    assert "--uncertainty is for images of up to" in outcome.error
    config = ModelConfig(base_filters=2, depth=1, normalisation="group")
    whole = Segmenter(KerasPredictor(build_model(config), config), Run(trained).contract)
    (outcome,) = segment_files(whole, [image], tmp_path / "out", model="m")
    assert "sees the whole image at once" in outcome.error
    tifffile.imwrite(image, np.stack([pixels(np.uint8)] * 3, -1), photometric="rgb")
    (outcome,) = segment_files(segmenter(trained, None), [image], tmp_path / "out", model="m")
    assert "too large to turn into gray values" in outcome.error


def test_coarser_versions_lie_in_the_file(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (2500, 3100)).astype(np.uint8)
    write_pyramid(tmp_path / "m.ome.tif", mask, 12.5)
    with tifffile.TiffFile(tmp_path / "m.ome.tif") as tiff:
        (series,) = tiff.series
        assert [level.shape for level in series.levels] == [(2500, 3100), (1250, 1550), (625, 775)]
        for step, level in zip((1, 2, 4), series.levels, strict=True):
            np.testing.assert_array_equal(level.asarray(), mask[::step, ::step])
        assert 'PhysicalSizeX="12.5"' in tiff.ome_metadata
        assert 'PhysicalSizeXUnit="nm"' in tiff.ome_metadata


def test_small_images_are_none(tmp_path):
    striped(tmp_path / "x.tif", np.zeros((1200, 1200), np.uint8))
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + bytes(2**20))
    assert [is_montage(tmp_path / name) for name in ("x.tif", "bad.tif", "none.tif")] == [False] * 3


@pytest.mark.slow
def test_killed_and_repeated_equals_uninterrupted(trained, tmp_path):
    image = tmp_path / "x.tif"
    tiled(image, np.tile(pixels(np.uint8, (512, 512)), (17, 16)))
    assert is_montage(image)
    call = [*CLI, "segment", trained, image, "--out"]
    process = subprocess.Popen([*call, tmp_path / "out"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done, end = tmp_path / "out" / ".part-x.ome.d" / "done.json", time.monotonic() + 300
    while not done.exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert done.exists()
    result = subprocess.run([*call, tmp_path / "out"], check=True, capture_output=True, text=True)
    assert "going on at row" in result.stderr
    subprocess.run([*call, tmp_path / "whole"], check=True, capture_output=True)
    assert (tmp_path / "out" / "x.ome.tif").read_bytes() == (tmp_path / "whole" / "x.ome.tif").read_bytes()
