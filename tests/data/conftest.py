"""A clean set of phantoms, and ways to break one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf import PhantomOptions, write_phantom
from cryoseg_tf.config import Config
from cryoseg_tf.data.check import check
from cryoseg_tf.data.concerns import Conclusion, conclude
from cryoseg_tf.data.groups import stated_groups
from cryoseg_tf.data.pairs import find_pairs


class Phantoms:
    """Six phantoms to train on and two to test on, of 256x256 at 200 nm."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, number: int, part: str = "train") -> Path:
        return self.root / part / "images" / f"phantom_{number:03}.tif"

    def mask(self, number: int, part: str = "train") -> Path:
        return self.root / part / "masks" / f"phantom_{number:03}.png"

    def draw(self, number: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Change an image's pixels; it keeps its pixel size of 200 nm."""
        pixels = change(tifffile.imread(self.image(number)))
        tifffile.imwrite(self.image(number), pixels, imagej=True, resolution=(5, 5), metadata={"unit": "um"})

    def annotate(self, number: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
        Image.fromarray(change(np.asarray(Image.open(self.mask(number))))).save(self.mask(number))

    def conclusion(self, **settings: object) -> Conclusion:
        config = Config().replace({name.replace("__", "."): value for name, value in settings.items()})
        pairs = find_pairs(self.root)
        return conclude(list(check(pairs, config.data)), config, stated_groups(self.root, pairs, config.data))

    def told(self, level: str, **settings: object) -> dict[str, dict[str, str]]:
        """Return the titles of a level's concerns, each with its evidence by image."""
        return {c.title: dict(c.details) for c in self.conclusion(**settings).concerns if c.level == level}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms that are drawn once; do not write to them."""
    root = tmp_path_factory.mktemp("phantoms") / "data"
    write_phantom(root, 6, 2, options=PhantomOptions(256, 200.0, ("cell",)))
    return root


@pytest.fixture
def phantoms(written: Path, tmp_path: Path) -> Phantoms:
    return Phantoms(shutil.copytree(written, tmp_path / "phantoms"))
