import pytest

from cryoseg_tf.io import atomic


def test_success_replaces(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        atomic.write_text(path, text)
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic.written(path) as part:
        part.write_text("half" * (part.write_text("half") // 0))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_leftovers_of_a_kill_are_replaced(tmp_path):
    (tmp_path / ".part-bundle").mkdir()
    (tmp_path / ".part-bundle" / "old").touch()
    with atomic.written(tmp_path / "bundle") as part:
        part.mkdir()
        (part / "new").touch()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["bundle", "bundle/new"]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("write", [atomic.check_writable, lambda path: atomic.write_text(path / "a.txt", "new")])
def test_no_detour_through_a_folder_that_is_not(tmp_path, write):
    """Before ``none`` is made ``none/../mine`` seems to be missing; afterwards it is ``mine``, full of the user's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(FileNotFoundError, match="none'"):
        write(tmp_path / "none" / ".." / "mine")
    assert [(path.name, path.read_text()) for path in tmp_path.rglob("*.txt")] == [("a.txt", "mine")]
    assert not (tmp_path / "none").exists()
