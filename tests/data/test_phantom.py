"""What a phantom's picture and mask promise."""

import numpy as np
import pytest
from scipy import ndimage

from cryoseg_tf.data.phantom import CELL, ICE, MESH, PhantomOptions, render
from cryoseg_tf.errors import ConfigError

SEEDS = range(8)
BINARY = ("cell",)


@pytest.fixture(scope="module")
def windows():
    """Windows of 51.2 um at 200 nm."""
    return [render(seed, PhantomOptions(256, 200.0)) for seed in range(24)]


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_same_arguments_same_picture(bits, dtype):
    one, other = (render(3, PhantomOptions(96), bits) for _ in range(2))
    assert one.image.dtype == dtype
    assert one.mask.dtype == np.uint8
    assert one.image.shape == one.mask.shape == (96, 96)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.mask, other.mask)
    assert one.objects == other.objects


@pytest.mark.parametrize(("one", "other"), [(0, 1), ((0, 0, 1), (0, 1, 0)), ((0, 0, 1), (1, 0, 1))])
def test_another_seed_another_picture(one, other):
    a, b = render(one, PhantomOptions(128)), render(other, PhantomOptions(128))
    assert (a.mask != b.mask).any()
    assert (a.image != b.image).mean() > 0.9


def test_bits_change_the_depth_not_the_scene():
    eight, sixteen = (render(2, PhantomOptions(128), bits) for bits in (8, 16))
    np.testing.assert_array_equal(eight.mask, sixteen.mask)
    np.testing.assert_allclose(eight.image / 255, sixteen.image / 65535, atol=0.51 / 255)


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_is_exact_at_pixel_centres(seed):
    # the centre pixel of each 3x3 fine pixels has its centre where the coarse pixel has its own
    coarse = render(seed, PhantomOptions(96, 300.0, BINARY)).mask
    fine = render(seed, PhantomOptions(288, 100.0, BINARY)).mask
    # only crystals and veils that lie on something know its height by its pixels
    assert (coarse == fine[1::3, 1::3]).mean() > 0.9999


def test_a_finer_view_shows_the_same_scene():
    for seed in (4, 5):
        coarse, fine = render(seed, PhantomOptions(128, 200.0)), render(seed, PhantomOptions(384, 200.0 / 3))
        smooth = ndimage.gaussian_filter(coarse.image.astype(float), 1.5)
        smooth_fine = ndimage.gaussian_filter(fine.image.astype(float), 4.5)[1::3, 1::3]
        assert np.corrcoef(smooth.ravel(), smooth_fine.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("pixel_size", [50.0, 100.0, 200.0])
def test_cells_have_their_physical_size(pixel_size):
    size, areas = int(40000 / pixel_size), []
    for seed in SEEDS:
        window = render(seed, PhantomOptions(size, pixel_size))
        labels, _ = ndimage.label(window.mask == CELL, np.ones((3, 3)))
        edge = set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])))
        single = [o for o in window.objects if o.kind == "single" and labels[o.y, o.x] not in edge]
        areas += [o.area_px for o in single]
    widths = 2 * np.sqrt(np.array(areas) / np.pi) * pixel_size
    assert len(widths) > 5
    assert 2500 < np.median(widths) < 6500


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_holds_background_and_a_sensible_share_of_cells(seed):
    mask = render(seed, PhantomOptions(256, 200.0, BINARY)).mask
    assert set(np.unique(mask)) == {0, 1}
    assert 0.05 < mask.mean() < 0.45


def test_a_small_window_has_a_cell():
    assert all((render(seed, PhantomOptions(64, 100.0)).mask == CELL).any() for seed in SEEDS)


def test_classes_are_those_asked_for(windows):
    seen = np.unique(np.concatenate([np.unique(w.mask) for w in windows]))
    assert seen.tolist() == [0, CELL, ICE, MESH]
    for seed, window in enumerate(windows[:4]):
        other = render(seed, PhantomOptions(256, 200.0, ("mesh", "cell")))
        np.testing.assert_array_equal(other.image, window.image)
        np.testing.assert_array_equal(other.mask, np.array([0, 2, 0, 1])[window.mask])


def test_ice_crystals_are_bright_and_bars_are_at_the_edges_of_a_square(windows):
    brighter = [w.image[w.mask == ICE].mean() > w.image[w.mask == 0].mean() for w in windows]
    assert np.mean(brighter) > 0.7
    rim = np.ones((256, 256), bool)
    rim[64:-64, 64:-64] = False
    bars = np.mean([w.mask == MESH for w in windows], axis=0)
    assert bars[rim].mean() > 2 * bars[~rim].mean() > 0


def test_little_is_clipped(windows):
    assert max(np.isin(w.image, [0, 65535]).mean() for w in windows) < 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 63}, "size is 63: it must be at least 64"),
        ({"pixel_size": 0.0}, r"pixel_size is 0.0: it must be above 0"),
        ({"pixel_size": -5.0}, r"pixel_size is -5.0"),
        ({"pixel_size": float("nan")}, "pixel_size is nan"),
        ({"pixel_size": 2000.0}, "at most 1000 nm"),
        ({"classes": ()}, "classes is '': name some of cell, ice, mesh, each once"),
        ({"classes": ("cell", "frost")}, "classes is 'cell, frost'"),
        ({"classes": ("cell", "cell")}, "each once"),
        ({"annotation": "some"}, "annotation is 'some': it must be all or clusters-only"),
    ],
)
def test_options_that_cannot_be_used_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        PhantomOptions(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1,), "seed is -1: it must not be negative"), (((0, -2),), "seed is .0, -2."), ((0, None, 12), "bits is 12")],
)
def test_values_that_cannot_be_used_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        render(*arguments)
