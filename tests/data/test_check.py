import json

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.check import ceiling, check
from cryoseg_tf.data.pairs import find_pairs


def test_each_bad_pair_is_a_finding(data):
    (data / "images" / "x01.png").write_bytes(b"")
    Image.fromarray(np.arange(64 * 64).reshape(64, 64).astype(np.uint8)).save(data / "masks" / "x02.png")
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(data / "images" / "x03.png")
    findings = list(check(find_pairs(data), DataConfig()))
    assert [bool(f.error) for f in findings] == [False, True, True, True, False, False]
    assert "x01.png is empty" in findings[1].error
    assert "anti-aliasing" in findings[2].error
    assert "blank: every pixel is 9" in findings[3].error


def test_fractions_are_of_annotated_pixels(data):
    mask = np.zeros((64, 64), np.uint8)
    mask[:32], mask[32:48] = 9, 1
    Image.fromarray(mask).save(data / "masks" / "x00.png")
    finding = next(check(find_pairs(data), DataConfig(ignore=9)))
    assert finding.annotated == 0.5
    assert finding.fractions == (0.5, 0.5)


@pytest.mark.parametrize("threads", [1, 3])
def test_findings_come_in_order(make_pairs, tmp_path, threads):
    pairs = find_pairs(make_pairs(tmp_path / "many", 40))
    assert [f.pair for f in check(pairs, DataConfig(), threads)] == pairs


@pytest.mark.parametrize(
    ("dtype", "high", "expected"),
    [
        ("uint8", 200, 255),
        ("uint16", 255, 255),
        ("uint16", 4000, 4095),
        ("uint16", 4096, 16383),
        ("uint16", 65535, 65535),
        ("int16", 900, 1023),
        ("uint32", 2**20, 2**32 - 1),
        ("float32", 1, None),
        ("int16", -5, None),
    ],
)
def test_ceiling_is_that_of_the_detector(dtype, high, expected):
    assert ceiling(np.zeros((1, 1), dtype), high) == expected


def test_saturation_is_counted_at_the_highest_value_of_12_bit(data):
    pixels = np.random.default_rng(0).integers(100, 3000, (64, 64)).astype(np.uint16)
    pixels[:16] = 4095
    Image.fromarray(pixels).save(data / "images" / "x00.png")
    assert next(check(find_pairs(data), DataConfig())).saturated == 0.25


def test_facts_are_json(phantoms):
    facts = [f.facts() for f in phantoms.conclusion().findings]
    assert json.loads(json.dumps(facts))[0]["pair"] == "test/images/phantom_000.tif"
    assert [f["part"] for f in facts] == ["test"] * 2 + ["train"] * 6
