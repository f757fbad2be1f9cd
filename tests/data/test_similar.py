import io

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.data.phantom import PhantomOptions, render
from cryoseg_tf.data.similar import clusters, digest, near_duplicates, signature

IMAGES = [render(seed).image for seed in range(4)]


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


COPIES = {
    "JPEG": jpeg,
    "8 bit": lambda p: (p >> 8).astype(np.uint8),
    "contrast": lambda p: p // 3 + 7000,
    "gamma": lambda p: 255 * (p / 65535) ** 0.6,
    "moved": lambda p: p[5:, :-5],
    "half size": lambda p: p[::2, ::2],
    "noise": lambda p: p + np.random.default_rng(0).normal(0, 3000, p.shape),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_and_nothing_else(name):
    others = [COPIES[name](pixels) for pixels in IMAGES]
    found = near_duplicates(np.stack([signature(p) for p in (*IMAGES, *others)]))
    assert found == [(i, i + 4) for i in range(4)]


def test_other_crops_of_one_field_are_not_copies():
    pixels = render(9, PhantomOptions(1024)).image
    crops = [pixels[y : y + 512, x : x + 512] for y in (0, 512) for x in (0, 512)]
    assert near_duplicates(np.stack([signature(p) for p in crops])) == []


def test_a_shading_in_common_makes_no_copies():
    shading = np.linspace(1, 3, 512)
    assert near_duplicates(np.stack([signature(p * shading) for p in IMAGES])) == []


def test_signature_is_of_length_one_and_forgets_contrast():
    vector = signature(IMAGES[0])
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(signature(IMAGES[0] * 0.5 + 100), vector, atol=1e-4)


def test_blank_images_are_like_nothing():
    blank = signature(np.full((100, 100), 700, np.uint16))
    assert not blank.any()
    assert near_duplicates(np.stack([blank, blank])) == []


def test_digest_is_of_values_type_and_shape():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert digest(pixels) == digest(np.asfortranarray(pixels))
    assert len({digest(p) for p in (pixels, pixels.reshape(4, 3), pixels.view(np.int8), pixels + 1)}) == 4


def test_clusters_join_links_that_touch():
    assert clusters([(0, 3), (1, 2), (3, 5), (6, 7), (5, 6)]) == [[0, 3, 5, 6, 7], [1, 2]]
    assert clusters([]) == []
