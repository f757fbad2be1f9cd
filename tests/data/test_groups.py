"""What belongs together: said in a table or by names, or found by the stage and by looks."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data import Groups, find_groups, find_pairs
from cryoseg_tf.data.groups import join
from cryoseg_tf.data.stage import StageField, overlaps, stage_field
from cryoseg_tf.errors import DataError
from cryoseg_tf.io.micrograph import Micrograph
from cryoseg_tf.io.vendor import Metadata


def table(folder, text):
    (folder / "groups.csv").write_text(text, "utf-8")


def groups_of(folder, **settings):
    return find_groups(folder, find_pairs(folder), DataConfig(**settings))


def sets(groups: Groups) -> set[frozenset[str]]:
    return {frozenset(n for n, g in groups.of.items() if g == group) for group in groups.of.values()}


def test_a_table_may_call_images_by_path_file_or_stem(data):
    rows = ["image,group,by", "images/x00.png,A,me", "x01.png, A ,", "x02,B,", "x03,B,", "x04,B,", "x05,C,"]
    table(data, "\ufeff" + "\r\n".join(rows))
    groups = groups_of(data)
    assert [groups.of[f"images/x{i:02}.png"] for i in range(6)] == list("AABBBC")
    assert groups.known
    assert groups.summary == "3 groups of images, from groups.csv; each is kept together"


def test_a_table_may_name_images_of_the_other_part(tmp_path, make_pairs):
    make_pairs(tmp_path / "train", 2)
    make_pairs(tmp_path / "test", 1, first=2)
    table(tmp_path, "image,group\nx00,A\nx01,B\nx02,C\n")
    assert find_groups(tmp_path, find_pairs(tmp_path, "train"), DataConfig()).of == {
        "train/images/x00.png": "A",
        "train/images/x01.png": "B",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,group\nx00,A\n", "no row for images/x01.png, images/x02.png, images/x03.png (and 2 more)"),
        ("image,group\nx99,A\n", "names x99, but"),
        ("image,grid\nx00,A\n", "image, grid: needed are image,group"),
        ("", "needed are image,group"),
        ("image,group\nx00,A\nx01,\n", "row 2 lacks"),
        ("image,group\nx00,A\nx00,B\n", "x00 to several groups"),
        ("image,group\n" + "".join(f"x0{i},A\n" for i in range(6)) + "x00.png,B\n", "several groups, A, B"),
    ],
)
def test_a_wrong_table_is_refused(data, text, words):
    table(data, text)
    with pytest.raises(DataError) as error:
        groups_of(data)
    assert words in str(error.value)
    assert "groups.csv" in str(error.value)


def test_a_table_that_is_no_text_is_refused(data):
    (data / "groups.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match=r"groups\.csv cannot be read"):
        groups_of(data)


def test_a_pattern_finds_groups_in_names(tmp_path, make_pairs):
    make_pairs(tmp_path / "train", 2)
    make_pairs(tmp_path / "test", 1, first=10)
    groups = groups_of(tmp_path, group_pattern=r"x(\d)\d\.png$")
    assert groups.of == {"train/images/x00.png": "0", "train/images/x01.png": "0", "test/images/x10.png": "1"}
    assert groups.summary == "2 groups of images, from data.group_pattern; each is kept together"


def test_a_pattern_wins_over_a_table(data):
    table(data, "image,group\n" + "".join(f"x0{i},A\n" for i in range(6)))
    assert len(set(groups_of(data, group_pattern="(x0.)").of.values())) == 6


@pytest.mark.parametrize("pattern", [r"grid(\d+)", r"x(\d\d)?0|x0"])
def test_a_pattern_that_leaves_images_out_is_refused(data, pattern):
    with pytest.raises(DataError, match=r"finds no group in images/x00\.png"):
        groups_of(data, group_pattern=pattern)


def test_nothing_known(data):
    groups = groups_of(data)
    assert not groups.known
    assert len(set(groups.of.values())) == 6
    assert groups.summary.startswith("groups unknown: ")


def test_near_duplicates_stay_together(data):
    picture = np.asarray(Image.open(data / "images" / "x00.png"))
    Image.fromarray((picture * 0.5 + 40).astype(np.uint8)).save(data / "images" / "x04.png")
    groups = groups_of(data)
    assert sets(groups) == {
        frozenset({"images/x00.png", "images/x04.png"}),
        *(frozenset({f"images/x0{i}.png"}) for i in (1, 2, 3, 5)),
    }
    assert not groups.known
    assert "2 near-duplicates" in groups.summary


def field(said, pixel_size=100.0, shape=(50, 100)):
    return stage_field(Micrograph(np.zeros(shape, np.uint8), pixel_size, metadata=said))


def test_a_field_on_the_stage():
    # 100 by 50 pixels of 100 nm are 10 by 5 um
    assert field(Metadata(stage_x=1.0, stage_y=2.0, rotation=30.0)) == StageField(1.0, 2.0, 10.0, 5.0, 30.0)
    turned = field(Metadata(stage_x=1.0, stage_y=2.0, scan_rotation=-90.0))
    assert (turned.width, turned.height) == pytest.approx((5.0, 10.0))


@pytest.mark.parametrize(
    ("said", "pixel_size"),
    [({}, 1.0), ({"stage_x": 1.0}, 1.0), ({"stage_y": 1.0}, 1.0), ({"stage_x": 1.0, "stage_y": 2.0}, None)],
)
def test_a_field_needs_position_and_pixel_size(said, pixel_size):
    assert field(Metadata(**said), pixel_size) is None


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (StageField(9.9, 0, 10, 5), True),
        (StageField(10.1, 0, 10, 5), False),
        (StageField(0, -4.9, 10, 5), True),
        (StageField(0, -5.1, 10, 5), False),
        (StageField(40, 0, 90, 90), True),  # at a lower magnification
        (StageField(0, 0, 10, 5, 359.5), True),
        (StageField(0, 0, 10, 5, 180), False),
        (None, False),
    ],
)
def test_fields_that_overlap(other, together):
    here = StageField(0, 0, 10, 5)
    assert overlaps([None, here, other]) == ([(1, 2)] if together else [])


def test_overlap_is_what_rectangles_share():
    random = np.random.default_rng(0)
    fields = [StageField(*random.uniform(0, 50, 2), *random.uniform(1, 12, 2)) for _ in range(60)]

    def shared(a, b):
        sides = [
            min(getattr(a, at) + getattr(a, by) / 2, getattr(b, at) + getattr(b, by) / 2)
            - max(getattr(a, at) - getattr(a, by) / 2, getattr(b, at) - getattr(b, by) / 2)
            for at, by in (("x", "width"), ("y", "height"))
        ]
        return min(sides) > 0

    expected = [(i, j) for i in range(60) for j in range(i + 1, 60) if shared(fields[i], fields[j])]
    assert overlaps(fields) == expected
    assert 10 < len(expected) < 1000


def test_fields_that_overlap_on_the_stage_are_one_group(tmp_path):
    """Of three fields 6.4 um wide, 5 um and 10 um apart, the first two overlap."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name, x in (("a", 0), ("b", 5e-6), ("c", 15e-6)):
        said = f"[Stage]\nStageX={x}\nStageY=0\n[Scan]\nPixelWidth=1e-7\nPixelHeight=1e-7\n[Image]\nResolutionY=64\n"
        pixels = np.random.default_rng(int(x * 1e6)).integers(0, 255, (64, 64), np.uint8)
        extra = [(34682, 2, len(said), said.encode(), True)]
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels, extratags=extra, metadata=None)
        Image.fromarray(pixels // 128).save(tmp_path / "masks" / f"{name}.png")
    groups = groups_of(tmp_path)
    assert groups.known
    assert sets(groups) == {frozenset({"images/a.tif", "images/b.tif"}), frozenset({"images/c.tif"})}


def test_overlaps_join_through_others():
    assert join([(0, 2), (4, 2)], ["a", "b", "c", "d", "e"]) == {"a": "a", "b": "b", "c": "a", "d": "d", "e": "a"}
