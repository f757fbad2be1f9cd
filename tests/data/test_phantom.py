import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from cryoseg_tf.data.pairs import find_pairs
from cryoseg_tf.data.phantom import render, write_phantom
from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.io.vendor import read_metadata

SEEDS = range(8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "made" / "data"
    write_phantom(out, images=3, test=2, size=96, seed=5, pixel_size=123.4)
    return out


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def otsu(image):
    counts, edges = np.histogram(image, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    mean_below = np.cumsum(counts * centres)[:-1] / below
    mean_above = ((counts * centres).sum() - mean_below * below) / (total - below)
    return centres[np.argmax(below * (total - below) * (mean_above - mean_below) ** 2)]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_same_arguments_same_picture(bits, dtype):
    (image, mask), (image2, mask2) = (render(3, 96, bits=bits) for _ in range(2))
    assert image.dtype == dtype
    assert mask.dtype == np.uint8
    assert image.shape == mask.shape == (96, 96)
    np.testing.assert_array_equal(image, image2)
    np.testing.assert_array_equal(mask, mask2)


@pytest.mark.parametrize(("one", "other"), [(0, 1), ((0, 0, 1), (0, 1, 0)), ((0, 0, 1), (1, 0, 1))])
def test_another_seed_another_picture(one, other):
    (image, mask), (image2, mask2) = render(one, 128), render(other, 128)
    assert (mask != mask2).any()
    assert (image != image2).mean() > 0.9


def test_bits_change_the_depth_not_the_scene():
    (eight, mask), (sixteen, mask2) = render(2, 128, bits=8), render(2, 128, bits=16)
    np.testing.assert_array_equal(mask, mask2)
    np.testing.assert_allclose(eight / 255, sixteen / 65535, atol=0.51 / 255)


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_is_exact_at_pixel_centres(seed):
    # the centre pixel of each 3x3 fine pixels has its centre where the coarse pixel has its own
    _, coarse = render(seed, 96, pixel_size=300.0)
    _, fine = render(seed, 288, pixel_size=100.0)
    np.testing.assert_array_equal(coarse, fine[1::3, 1::3])


def test_a_finer_view_shows_the_same_scene():
    coarse, _ = render(4, 128, pixel_size=200.0)
    fine, _ = render(4, 384, pixel_size=200.0 / 3)
    smooth = ndimage.gaussian_filter(coarse.astype(float), 1)
    smooth_fine = ndimage.gaussian_filter(fine.astype(float), 3)[1::3, 1::3]
    assert np.corrcoef(smooth.ravel(), smooth_fine.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("pixel_size", [50.0, 100.0, 200.0])
def test_cells_have_their_physical_size(pixel_size):
    widths = []
    for seed in SEEDS:
        _, mask = render(seed, int(40000 / pixel_size), pixel_size)
        labels, count = ndimage.label(mask)
        at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        areas = ndimage.sum_labels(mask, labels, np.setdiff1d(np.arange(1, count + 1), at_edge))
        widths.extend(2 * np.sqrt(areas / np.pi) * pixel_size)
    # the smallest are single cells, though others may cover a part of them
    assert 2000 < np.percentile(widths, 10) < 4500
    assert 2500 < np.median(widths) < 9000


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_holds_background_and_a_sensible_share_of_cells(seed):
    _, mask = render(seed)
    assert set(np.unique(mask)) == {0, 1}
    assert 0.05 < mask.mean() < 0.45


def test_the_smallest_window_has_a_cell():
    assert all(render(seed, 64, 20.0)[1].any() for seed in SEEDS)


def test_a_threshold_does_not_find_the_cells():
    scores = []
    for seed in SEEDS:
        image, mask = render(seed)
        bright = image > otsu(image)
        scores.append(max(dice(bright, mask == 1), dice(~bright, mask == 1)))
    assert np.mean(scores) <= 0.6


def test_cells_differ_from_their_surroundings():
    # SEM's edge effect: a cell's border is brighter than the ring around it
    for seed in SEEDS:
        image, mask = render(seed)
        cell = mask == 1
        border = cell & ~ndimage.binary_erosion(cell, iterations=3)
        ring = ndimage.binary_dilation(cell, iterations=6) & ~ndimage.binary_dilation(cell, iterations=2)
        assert image[border].mean() > 1.1 * image[ring].mean()


def test_little_is_clipped():
    for seed in SEEDS:
        image, _ = render(seed, bits=16)
        assert np.isin(image, [0, 65535]).mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 63}, "size is 63: it must be at least 64"),
        ({"pixel_size": 0.0}, r"pixel_size is 0.0: it must be above 0"),
        ({"pixel_size": -5.0}, r"pixel_size is -5.0"),
        ({"pixel_size": float("nan")}, "pixel_size is nan"),
        ({"pixel_size": 2000.0}, "at most 1000 nm"),
        ({"seed": -1}, "seed is -1: it must not be negative"),
    ],
)
def test_values_that_cannot_be_used_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        render(**{"seed": 0, **arguments})
    with pytest.raises(ConfigError, match=message):
        write_phantom(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"), [({"images": 0}, "images is 0: it must be at least 1"), ({"test": -1}, "test is -1")]
)
def test_counts_that_cannot_be_used_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        write_phantom(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


def test_other_depths_are_refused():
    with pytest.raises(ConfigError, match="bits is 12: it must be 8 or 16"):
        render(0, bits=12)


def test_written_layout(folder):
    train = [f"train/{kind}" for i in range(3) for kind in (f"images/phantom_00{i}.tif", f"masks/phantom_00{i}.png")]
    test = [f"test/{kind}" for i in range(2) for kind in (f"images/phantom_00{i}.tif", f"masks/phantom_00{i}.png")]
    assert set(contents(folder)) == {*train, *test}
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert len(find_pairs(folder, "train")) == 3
    assert len(find_pairs(folder, "test")) == 2


def test_returned_paths_are_the_images(tmp_path):
    paths = write_phantom(str(tmp_path / "out"), images=2, test=1, size=64)
    expected = ["train/images/phantom_000.tif", "train/images/phantom_001.tif", "test/images/phantom_000.tif"]
    assert paths == [tmp_path / "out" / name for name in expected]
    assert all(p.is_file() for p in paths)


def test_files_keep_depth_pixel_size_and_mask(folder):
    depths = []
    for pair in find_pairs(folder, "train"):
        with tifffile.TiffFile(pair.image) as tiff:
            image = tiff.asarray()
            assert read_metadata(tiff).pixel_size == pytest.approx(123.4, rel=1e-3)
        mask = np.asarray(Image.open(pair.mask))
        drawn, drawn_mask = render((5, 0, len(depths)), 96, 123.4, bits=8 * image.itemsize)
        np.testing.assert_array_equal(image, drawn)
        np.testing.assert_array_equal(mask, drawn_mask)
        assert mask.dtype == np.uint8
        depths.append(image.dtype)
    assert depths == [np.uint16, np.uint16, np.uint8]


@pytest.mark.parametrize("pixel_size", [1000.0, 33.3, 4.567])
def test_pixel_size_reads_back(tmp_path, pixel_size):
    [path] = write_phantom(tmp_path / "out", images=1, test=0, size=64, pixel_size=pixel_size)
    with tifffile.TiffFile(path) as tiff:
        assert read_metadata(tiff).pixel_size == pytest.approx(pixel_size, rel=1e-3)


def test_files_repeat_byte_for_byte_and_do_not_depend_on_the_count(folder, tmp_path):
    write_phantom(tmp_path / "out", images=3, test=2, size=96, seed=5, pixel_size=123.4)
    assert contents(tmp_path / "out") == contents(folder)
    write_phantom(tmp_path / "fewer", images=1, test=1, size=96, seed=5, pixel_size=123.4)
    assert contents(tmp_path / "fewer").items() < contents(folder).items()


def test_no_image_is_both_trained_and_tested_on(folder):
    images = [data for name, data in contents(folder).items() if "/images/" in name]
    assert len(set(images)) == len(images) == 5


def test_without_test_images_there_is_no_test_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()  # an empty folder is welcome
    write_phantom(out, images=1, test=0, size=64)
    assert [p.name for p in out.iterdir()] == ["train"]


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="out exists and is not empty: choose another folder"):
        write_phantom(tmp_path / "out", images=1, test=0, size=64)
    assert contents(tmp_path) == {"out/mine.txt": b"keep"}


def test_a_file_is_refused_and_kept(tmp_path):
    (tmp_path / "out").write_text("keep")
    with pytest.raises(DataError, match="out is a file: choose another folder"):
        write_phantom(tmp_path / "out", images=1, test=0, size=64)
    assert contents(tmp_path) == {"out": b"keep"}


def test_ice_is_a_class_on_request():
    plain, cells = render(3, 192, 200.0)
    image, mask = render(3, 192, 200.0, ice=True)
    np.testing.assert_array_equal(image, plain)
    np.testing.assert_array_equal(mask == 1, cells == 1)
    assert set(np.unique(mask)) == {0, 1, 2}
    assert image[mask == 2].mean() > image[mask == 0].mean()  # crystals are bright


def test_classes_are_named_for_fit(tmp_path):
    write_phantom(tmp_path / "data", images=1, test=0, size=64, pixel_size=400.0, ice=True)
    assert (tmp_path / "data" / "classes.txt").read_text("utf-8").split() == ["background", "cell", "ice"]
