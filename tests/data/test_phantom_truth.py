"""Phantoms are as hard as real images are, and like them: the gates of their making."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cryoseg_tf.data.phantom import CELL, PhantomOptions, render
from cryoseg_tf.data.phantom.scene import OPAQUE, THIN, blank, streams
from cryoseg_tf.data.phantom.table import find_objects
from cryoseg_tf.io.micrograph import read_micrograph

REAL = Path(__file__).parents[3] / "shared" / "data" / "fibsem_grid_unlabelled" / "images"
COUNT = 24


@pytest.fixture(scope="module")
def windows():
    """Windows of 512 px at 100 nm."""
    return [render(seed) for seed in range(COUNT)]


def otsu(image):
    counts, edges = np.histogram(image, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    mean_below = np.cumsum(counts * centres)[:-1] / below
    mean_above = ((counts * centres).sum() - mean_below * below) / (total - below)
    return centres[np.argmax(below * (total - below) * (mean_above - mean_below) ** 2)]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def around(window, found):
    """An object's pixels, and the ring around it that holds no cell."""
    cells = window.mask == CELL
    labels, _ = ndimage.label(cells, np.ones((3, 3)))
    inside = labels == labels[found.y, found.x]
    ring = ndimage.binary_dilation(inside, iterations=8) & ~ndimage.binary_dilation(inside, iterations=2)
    return window.image[inside], window.image[ring & ~cells]


def slope(pixels):
    """The slope of log power over log frequency from 0.01 to 0.25 cycles a pixel, over blocks of 512x512."""
    height, width = pixels.shape
    taper = np.outer(np.hanning(512), np.hanning(512))
    blocks = [pixels[y : y + 512, x : x + 512] for y in range(0, height - 511, 512) for x in range(0, width - 511, 512)]
    power = np.sum([np.abs(np.fft.fft2((b - b.mean()) * taper)) ** 2 for b in blocks], axis=0)
    axis = np.fft.fftfreq(512)
    radius = np.hypot(axis[:, None], axis)
    bins = np.digitize(radius, np.geomspace(0.01, 0.25, 13))
    rings = [bins == k for k in range(1, 13)]
    return np.polyfit(*np.log([(radius[r].mean(), power[r].mean()) for r in rings]).T, 1)[0]


def test_a_threshold_does_not_find_the_cells(windows):
    scores = []
    for window in windows:
        bright, cells = window.image > otsu(window.image), window.mask == CELL
        scores.append((dice(bright, cells), dice(~bright, cells)))
    assert np.mean(scores, axis=0).max() <= 0.45
    assert np.max(scores) <= 0.5


def test_low_charge_cells_hide_in_the_noise(windows):
    contrasts = []
    for window in windows:
        for found in (o for o in window.objects if o.kind == "low-charge" and o.area_px > 100):
            inside, ring = around(window, found)
            if len(ring) > 50:
                contrasts.append((inside.mean() - ring.mean()) / window.noise)
    assert len(contrasts) > 5
    assert np.max(np.abs(contrasts)) <= 1
    assert np.mean(contrasts) < 0  # dark, if anything


def test_noise_is_what_differs_between_pixels(windows):
    for window in windows:
        image = window.image.astype(float)
        # of second differences in both directions, which leave little but noise
        differences = image[1:-1, 1:-1] * 4 - 2 * (
            image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
        )
        differences += image[:-2, :-2] + image[:-2, 2:] + image[2:, :-2] + image[2:, 2:]
        assert np.sqrt(np.mean(differences**2)) / 6 == pytest.approx(window.noise, rel=0.25)


def test_cells_have_bright_edges(windows):
    ratios = []
    for window in windows:
        cells = window.mask == CELL
        border = cells & ~ndimage.binary_erosion(cells, iterations=3)
        ring = ndimage.binary_dilation(cells, iterations=6) & ~ndimage.binary_dilation(cells, iterations=2)
        ratios.append(window.image[border].mean() / window.image[ring].mean())
    assert min(ratios) > 1
    assert np.mean(ratios) > 1.2


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is absent: it is not part of the project")
def test_power_spectra_fall_as_those_of_real_images(windows):
    real = [slope(read_micrograph(path).pixels.astype(float)) for path in sorted(REAL.glob("*.tif"))]
    assert len(real) == 18
    found = [slope(window.image.astype(float)) for window in windows]
    assert min(real) <= min(found)
    assert max(found) <= max(real)


def test_a_set_has_objects_of_all_kinds(windows):
    kinds = [o.kind for w in windows for o in w.objects]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert set(counts) == {"single", "cluster", "low-charge", "ice-covered"}
    assert 0.02 < counts["low-charge"] / len(kinds) < 0.2
    assert 0.1 < np.mean([any(o.kind == "low-charge" for o in w.objects) for w in windows]) < 0.6


def test_objects_are_the_components_of_cells(windows):
    for window in windows[:6]:
        labels, count = ndimage.label(window.mask == CELL, np.ones((3, 3)))
        assert len(window.objects) == count
        assert {labels[o.y, o.x] for o in window.objects} == set(range(1, count + 1))
        for found in window.objects:
            assert found.area_px == (labels == labels[found.y, found.x]).sum()


def test_single_cells_are_left_out_on_request(windows):
    for seed, window in enumerate(windows[:3]):
        other = render(seed, PhantomOptions(annotation="clusters-only"))
        np.testing.assert_array_equal(other.image, window.image)
        assert all(o.annotated == (o.cells > 1) for o in other.objects)
        assert all((other.mask[o.y, o.x] == CELL) == o.annotated for o in other.objects)
        assert all(o.annotated for o in window.objects)


def drawn(cells, ice):
    """Objects of a scene of 64x64 with these cells and this ice in rows of 16 pixels."""
    scene = blank(PhantomOptions(64), streams(0)["view"])
    scene.owner[:16, : len(cells) * 4] = np.repeat(cells, 4)
    scene.ice[:16, : len(ice) * 4] = np.repeat(ice, 4)
    return scene


@pytest.mark.parametrize(
    ("cells", "ice", "low", "expected"),
    [
        ([1, 1], [0], [], [("single", 128, 1)]),
        ([1, 2], [0], [], [("cluster", 128, 2)]),
        ([1, 2], [0], [2], [("low-charge", 128, 2)]),
        ([1, 2, 2], [0], [1], [("cluster", 192, 2)]),
        ([1, 2], [THIN, 0], [], [("ice-covered", 128, 2)]),
        ([1, 2], [THIN, 0], [1, 2], [("low-charge", 128, 2)]),
        ([1, 1, 1], [0, OPAQUE, 0], [], [("ice-covered", 64, 1), ("ice-covered", 64, 1)]),
        ([1, 0, 2], [0], [], [("single", 64, 1), ("single", 64, 1)]),
        ([1], [OPAQUE], [], []),
    ],
)
def test_kinds(cells, ice, low, expected):
    _, objects = find_objects(drawn(cells, ice), low, "all")
    assert [(o.kind, o.area_px, o.cells) for o in objects] == expected
