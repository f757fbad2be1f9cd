import json
import shutil

import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.errors import RunError
from cryoseg_tf.run import Run


def test_no_such_run(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        Run(tmp_path / "none").load_model()
    with pytest.raises(RunError, match=r"no run\.json"):
        Run(tmp_path).info  # noqa: B018


def test_a_newer_run_is_refused(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(RunError, match="newer"):
        Run(run).info  # noqa: B018


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_damaged_weights_are_named(trained, tmp_path, damage):
    run = shutil.copytree(trained, tmp_path / "run")
    content = (run / "model.keras").read_bytes()
    (run / "model.keras").write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(RunError, match=r"model\.keras is damaged"):
        Run(run).load_model()


def test_weights_of_another_network_are_refused(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    Run(run).config.replace({"model.base_filters": 5}).save(run / "config.yaml")
    with pytest.raises(RunError, match=r"config\.yaml"):
        Run(run).load_model()


def test_an_existing_run_is_kept(trained):
    before = (trained / "run.json").read_bytes()
    with pytest.raises(RunError, match="--resume"), Run(trained).writing(Config(), None, "refuse"):
        pass
    assert (trained / "run.json").read_bytes() == before


def test_a_foreign_folder_is_kept(tmp_path):
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(RunError, match="is not a run"), Run(tmp_path).writing(Config(), None, "overwrite"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_two_writers_exclude_each_other(tmp_path):
    with Run(tmp_path / "run").writing(Config(), None, "refuse"):  # noqa: SIM117
        with pytest.raises(RunError, match="another process"), Run(tmp_path / "run").writing(Config(), None, "resume"):
            pass


def test_an_error_leaves_its_traceback_in_the_log(tmp_path):
    with pytest.raises(RunError), Run(tmp_path / "run").writing(Config(), None, "refuse"):  # noqa: PT012
        Config().save(tmp_path / "run" / "config.yaml")
        raise RunError("the reason")
    assert "Traceback" in (tmp_path / "run" / "run.log").read_text()


def test_an_error_before_training_leaves_nothing(tmp_path):
    with pytest.raises(RunError), Run(tmp_path / "run").writing(Config(), None, "refuse"):
        raise RunError("the reason")
    assert list(tmp_path.iterdir()) == []
