import pytest

from cryoseg_tf.errors import DataError
from cryoseg_tf.evaluation.kinds import points_of, read_kinds


def test_a_table_is_read_by_image(tmp_path):
    (tmp_path / "objects.csv").write_text(
        "image,kind,y,x,diameter_nm\na.tif,round,10,20.5,3000\nsub\\b.tif,ice,0,1,\na.tif,budding,3,4,\n"
    )
    assert read_kinds(tmp_path) == {
        "a.tif": [(10, 20.5, "round"), (3, 4, "budding")],
        "sub/b.tif": [(0, 1, "ice")],
    }


def test_the_test_folder_s_table_counts_first_and_none_is_fine(tmp_path):
    assert read_kinds(tmp_path) == {}
    for place in ("train", ".", "test"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "objects.csv").write_text(f"image,kind,y,x\na,{place},1,2\n")
        assert read_kinds(tmp_path) == {"a": [(1, 2, place)]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,kind,y\na,b,1\n", "lacks the column x"),
        ("image,kind,y,x\na,b,1,\n", "line 2 has y '1' and x ''"),
        ("image,kind,y,x\na,b,1,2\na,b,-1,2\n", "line 3 has y '-1'"),
        ("image,kind,y,x\na,b,nan,2\n", "line 2 has y 'nan'"),
        ("image,kind,y,x\na,b\n", "line 2 has y None"),
    ],
)
def test_a_wrong_table_says_where(text, message, tmp_path):
    (tmp_path / "objects.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_kinds(tmp_path)


def test_a_table_of_bytes_is_refused(tmp_path):
    (tmp_path / "objects.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_kinds(tmp_path)


@pytest.mark.parametrize("called", ["test/images/s/a.tif", "s/a.tif", "a.tif", "a"])
def test_an_image_goes_by_several_names(called):
    points = [(1.0, 2.0, "round")]
    assert points_of({called: points}, "test/images/s/a.tif") == points
    assert points_of({"b.tif": points}, "test/images/s/a.tif") == ()


def test_the_longest_name_counts():
    kinds = {"a.tif": [(0.0, 0.0, "other")], "s/a.tif": [(1.0, 2.0, "this")]}
    assert points_of(kinds, "images/s/a.tif") == kinds["s/a.tif"]
