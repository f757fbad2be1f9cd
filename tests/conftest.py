"""Real files and one really trained model, shared by the tests."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import HealthCheck, settings
from PIL import Image
from scipy import ndimage

# on a busy machine an example may take long, and say nothing of the code
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TINY = {"model.base_filters": 4, "model.depth": 2, "training.epochs": 2, "data.patches_per_image": 4}


def blobs(seed: int, shape: tuple[int, int] = (64, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Bright blobs on noise, uint8, and their mask of 0 and 1."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=shape), 4)
    mask = (field > 0.5 * field.std()).astype(np.uint8)
    image = 90 + 60 * mask + random.normal(0, 12, shape)
    return image.clip(0, 255).astype(np.uint8), mask


def write_pairs(root: Path, count: int, shape: tuple[int, int] = (64, 64), first: int = 0) -> Path:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        image, mask = blobs(seed, shape)
        Image.fromarray(image).save(root / "images" / f"x{seed:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"x{seed:02}.png")
    return root


@pytest.fixture
def make_pairs() -> Callable[..., Path]:
    """``make_pairs(root, count, shape=(64, 64), first=0)`` writes annotated images."""
    return write_pairs


@pytest.fixture
def tiny() -> dict[str, object]:
    """Settings of a network that trains in seconds."""
    return dict(TINY)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six annotated images of 64x64."""
    return write_pairs(tmp_path / "data", 6)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[..., Path]:
    """``once(name, write)`` is the folder that ``write(folder)`` fills, in one of pytest-xdist's workers for all."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(name: str, write: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def trained(once: Callable[..., Path]) -> Path:
    """A run that was really trained, if only for a moment; do not write to it."""
    from cryoseg_tf import Config, find_pairs, fit, split

    def write(folder: Path) -> None:
        pairs = find_pairs(write_pairs(folder / "data", 6))
        config = Config().replace({**TINY, "training.epochs": 4, "training.learning_rate": 0.01})
        fit(config, split(pairs, config.data), folder / "run")

    return once("trained", write) / "run"


@pytest.fixture(scope="session")
def bundle(trained: Path, once: Callable[..., Path]):
    """A bundle of that run with every format; do not write to it."""
    from cryoseg_tf.exports import Bundle, export
    from cryoseg_tf.exports.exporter import FORMATS

    folder = once("bundle", lambda folder: export(trained, list(FORMATS), folder / "model.cryoseg"))
    return Bundle.open(folder / "model.cryoseg")


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Run the command line in this process."""
    from cryoseg_tf.cli.main import main

    def call(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words])

    return call


@pytest.fixture
def runs_on() -> Callable[[psutil.Process], bool]:
    """``runs_on(process)`` tells whether another's child still runs after 20 seconds; it returns once that ended.

    A process that was left by its parent and has ended is a zombie until the system's first process
    asks for its exit code, which may be at once, later or, in a container, never.
    """

    def check(process: psutil.Process) -> bool:
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    return False
            except psutil.NoSuchProcess:
                return False
            time.sleep(0.05)
        return True

    return check
