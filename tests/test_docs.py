"""The docs say what is true: settings are listed with their defaults, links lead somewhere, the example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cryoseg_tf.cli.main import COMMANDS
from cryoseg_tf.config import Config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
AUTOMATIC = {"data.ignore", "data.pixel_size", "data.image_pixel_size", "data.data_bar", "data.patch"}
AUTOMATIC |= {"data.factor", "training.clip_norm", "training.ema"}


def settings(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_every_setting_and_its_default_is_listed():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", text, re.MULTILINE))
    actual = dict(settings(Config().model_dump()))
    branches = ("data.", "model.", "training.", "evaluation.")
    assert {n for n in listed if n == "seed" or (n.startswith(branches) and n != "model.keras")} == set(actual)
    for name, value in actual.items():
        if name not in AUTOMATIC:
            shown = (
                ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
                if isinstance(value, tuple)
                else value
            )
            assert listed[name].strip().lower() == str(shown).lower().removesuffix(".0"), name


def test_every_command_is_listed():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert all(f"| `{name} " in text for name in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path):
    code = re.search(
        r"## From Python\n\n```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    ).group(1)
    shorter = code.replace('"training.epochs": 20', '"training.epochs": 1, "data.patches_per_image": 1')
    assert shorter != code
    result = subprocess.run([sys.executable, "-c", shorter], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "model.cryoseg" / "saved_model" / "saved_model.pb").is_file()
