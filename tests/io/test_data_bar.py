import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cryoseg_tf.data.phantom import PhantomOptions, render
from cryoseg_tf.io.data_bar import find_data_bar

LOOKS = {"black": (0, 255), "white": (255, 0), "gray": (128, 255), "boxed": (0, 255), "dim": (40, 220)}
IMAGE = render(3, bits=8).image


def bar(height, look, width=512):
    """Draw what a microscope writes: values, a scale bar, in boxes or not."""
    ground, ink = LOOKS[look]
    picture = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    if look == "boxed":
        draw.line([(0, 0), (width, 0)], fill=ink)
        for x in range(width // 5, width, width // 5):
            draw.line([(x, 0), (x, height)], fill=ink)
    draw.text((6, 4), "SEI  5.0kV  X2,500  WD 8.0mm", fill=ink, font=ImageFont.load_default(max(10, height // 4)))
    draw.rectangle([width * 3 // 4, height * 2 // 3, width * 7 // 8, height * 2 // 3 + 4], fill=ink)
    return np.asarray(picture)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("rows", [59, 70, 79, 140])
def test_a_bar_is_found_to_the_row(rows, look):
    image = np.vstack([IMAGE, bar(rows, look)])
    assert find_data_bar(image) == rows
    assert find_data_bar(image.astype(np.uint16) * 257) == rows


@pytest.mark.parametrize("look", LOOKS)
def test_a_bar_is_found_in_a_jpeg(look):
    buffer = io.BytesIO()
    Image.fromarray(np.vstack([IMAGE, bar(70, look)])).save(buffer, "JPEG", quality=85)
    assert abs(find_data_bar(np.asarray(Image.open(buffer))) - 70) <= 2


@pytest.mark.parametrize("seed", range(6))
def test_plain_images_have_none(seed):
    image = render(seed, PhantomOptions(256), bits=8).image
    for other in (image, image.T, image[::-1], image // 2):
        assert find_data_bar(other) == 0


@pytest.mark.parametrize("depth", [0.6, 1.0])
def test_a_bottom_that_fades_is_no_bar(depth):
    """It becomes dark, or bright, down to clipping."""
    height = len(IMAGE)
    light = np.clip((height - np.arange(height)) / (0.3 * height), 1 - depth, 1)[:, None]
    assert find_data_bar((IMAGE * light).astype(np.uint8)) == 0
    assert find_data_bar((255 - (255 - IMAGE) * light).astype(np.uint8)) == 0


def test_padding_without_text_is_no_bar():
    assert find_data_bar(np.vstack([IMAGE, np.zeros((70, 512), np.uint8)])) == 0


@pytest.mark.parametrize("shape", [(1, 1), (20, 500), (500, 20), (64, 64)])
def test_small_and_flat_images_have_none(shape):
    assert find_data_bar(np.zeros(shape, np.uint8)) == 0
    assert find_data_bar(np.random.default_rng(0).integers(0, 255, shape).astype(np.float32)) == 0
