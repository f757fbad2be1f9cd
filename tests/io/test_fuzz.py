"""Whatever bytes and texts come in, out come an image or one message.

Bounds: 10 s and 1 GiB of memory for the whole process, see ``fuzz.py``; a case takes about a
millisecond and the process stays below 200 MB.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io import described, thermo
from cryoseg_tf.io.data_bar import bar_rows
from cryoseg_tf.io.units import TagFacts, stated
from cryoseg_tf.io.vendor import Metadata, combined

ROOT = Path(__file__).parents[2]
NAMES = [key for _, keys in thermo._NUMBERS.values() for key in keys] + [k.lower() for p in thermo._PIXELS for k in p]
VALUES = st.one_of(st.text(max_size=20), st.floats().map(str), st.integers().map(str))
COUNTS = st.none() | st.integers(0, 2**40)


def fuzz(first, count):
    # another process: a crash of native code is a failed test, and memory is that of reading alone
    words = [sys.executable, "-m", "tests.io.fuzz", str(first), str(count)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"{count} cases" in result.stdout


def test_damaged_files():
    fuzz(0, 500)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 110_000, 10_000))
def test_100_000_damaged_files(first):
    fuzz(first, 10_000)


def sound(facts):
    """What is understood can be merged, and a pixel size is one."""
    size = combined([facts] if facts else [], 32).pixel_size
    assert size is None or 1e-3 <= size <= 1e6


@given(st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=9), VALUES), max_size=12))
@example([("scan.pixelwidth", "1e-7"), ("scan.pixelheight", "1e400")])
@example([("scan.verfieldsize", "1e300"), ("scan.pixelheight", "1e-300")])
def test_any_ini(entries):
    lines = [f"[{name.rpartition('.')[0]}]\n{name.rpartition('.')[2]}={value}" for name, value in entries]
    sound(thermo.facts(34682, "\n".join(lines)))


@given(st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from("xyzrt"), inner), max_leaves=6), VALUES)
def test_any_json(branch, value):
    for tree in (
        {"pixel_size": branch, "microscope_state": {"stage_position": branch}, "image": branch},
        branch,
        value,
    ):
        sound(described.fibsem(json.dumps(tree)))
    sound(described.fibsem(value))
    sound(described.ome(value))


@given(st.text())
@example("<" + "a>" * 9)
@example("[" * 100_000)
@example("<a>" * 50_000 + "</a>" * 50_000)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text(text):
    sound(thermo.facts(34680, text))
    sound(described.ome(text))
    sound(described.fibsem(text))


@given(st.dictionaries(st.sampled_from(["ap_image_pixel_size", "ap_pixel_size", "dp_image_store", "ap_wd", "ap_width"]),
                       st.one_of(VALUES, st.tuples(VALUES, VALUES | st.floats() | st.integers(), VALUES))))  # fmt: skip
def test_any_zeiss(table):
    sound(described.zeiss(table))


@given(VALUES, VALUES, st.sampled_from(["m", "nm", "furlong", ""]))
def test_any_pixel_size(x, y, unit):
    sound(TagFacts({}, stated("somewhere", x, y, unit)))


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 2**20), st.none() | st.integers(0, 2**40))
def test_a_bar_leaves_an_image(image_rows, field_rows, data_bar, height, asked):
    metadata = Metadata(image_rows=image_rows, field_rows=field_rows, data_bar=data_bar)
    try:
        rows = bar_rows(metadata, (height, 9), asked, Path("a.tif"))
    except ImageError:
        return
    assert 0 <= rows < height
    assert isinstance(rows, int)
    assert not isinstance(rows, np.bool)
