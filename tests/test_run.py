import json
import shutil

import pytest

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
