import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.errors import RunError
from cryoseg_tf.run import Run
from cryoseg_tf.training.writing import writing


def test_an_existing_run_is_kept(trained):
    before = (trained / "run.json").read_bytes()
    with pytest.raises(RunError, match="--resume"), writing(Run(trained), Config(), None, "refuse"):
        pass
    assert (trained / "run.json").read_bytes() == before


def test_a_foreign_folder_is_kept(tmp_path):
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(RunError, match="is not a run"), writing(Run(tmp_path), Config(), None, "overwrite"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_two_writers_exclude_each_other(tmp_path):
    with writing(Run(tmp_path / "run"), Config(), None, "refuse"):  # noqa: SIM117
        with pytest.raises(RunError, match="another process"), writing(Run(tmp_path / "run"), Config(), None, "resume"):
            pass


def test_an_error_leaves_its_traceback_in_the_log(tmp_path):
    with pytest.raises(RunError), writing(Run(tmp_path / "run"), Config(), None, "refuse"):  # noqa: PT012
        Config().save(tmp_path / "run" / "config.yaml")
        raise RunError("the reason")
    assert "Traceback" in (tmp_path / "run" / "run.log").read_text()


def test_an_error_before_training_leaves_nothing(tmp_path):
    with pytest.raises(RunError), writing(Run(tmp_path / "run"), Config(), None, "refuse"):
        raise RunError("the reason")
    assert list(tmp_path.iterdir()) == []
