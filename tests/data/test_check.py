import numpy as np
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.check import check, warnings
from cryoseg_tf.data.pairs import find_pairs


def test_each_bad_pair_is_a_finding(data):
    (data / "images" / "x01.png").write_bytes(b"")
    Image.fromarray(np.arange(64 * 64).reshape(64, 64).astype(np.uint8)).save(data / "masks" / "x02.png")
    findings = list(check(find_pairs(data), DataConfig()))
    assert [bool(f.error) for f in findings] == [False, True, True, False, False, False]
    assert "x01.png is empty" in findings[1].error
    assert "anti-aliasing" in findings[2].error


def test_fractions_are_of_annotated_pixels(data):
    mask = np.zeros((64, 64), np.uint8)
    mask[:32], mask[32:48] = 9, 1
    Image.fromarray(mask).save(data / "masks" / "x00.png")
    finding = next(check(find_pairs(data), DataConfig(ignore=9)))
    assert finding.annotated == 0.5
    assert finding.fractions == (0.5, 0.5)


def test_warnings_name_empty_masks_and_unknown_pixel_sizes(data):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(data / "masks" / "x00.png")
    text = "\n".join(warnings(list(check(find_pairs(data), DataConfig()))))
    assert "1 of 6 masks hold no foreground" in text
    assert "no image has a pixel size" in text
