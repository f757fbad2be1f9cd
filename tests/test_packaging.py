"""The wheel holds every module and data file, under one import package, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_content(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    expected = set()
    for folder, prefix in (("cryoseg_tf", "cryoseg_tf"), ("cli", "cryoseg_tf/cli"), ("exports", "cryoseg_tf/exports")):
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            linked = folder == "cryoseg_tf" and inside.parts[0] in ("cli", "exports")
            if path.is_file() and not linked and "__pycache__" not in inside.parts:
                expected.add(f"{prefix}/{inside.as_posix()}")
    assert packed == expected
