"""Wrong use of ``bench`` is one line, before anything is measured."""

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "1536"], "write it as 1536x1024"),
        (["--size", "8x8"], "at least 16 pixels"),
        (["--threads", "1,0"], "'0' is not a whole number above 0"),
        (["--out", "image.tif"], "end it in .csv"),
        (["--budget-ms", "0"], "is not a number above 0"),
        ([], "is not a bundle"),
    ],
)
def test_wrong_use_is_one_line(cli, tmp_path, words, message):
    result = cli("bench", tmp_path, *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_an_earlier_table_is_kept(cli, tmp_path):
    earlier = tmp_path / "times.csv"
    earlier.write_text("mine")
    result = cli("bench", tmp_path, "--out", earlier)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert earlier.read_text() == "mine"
