"""Hard examples: from some epochs on, patches are also taken where the network erred by then.

The training is divided into stages of as many epochs. Before each but the first, the network looks
at all training images, and where it is wrong is written down, so that a resume goes on with the
same patches. After Shrivastava et al. 2016 (doi:10.1109/CVPR.2016.89), for places instead of regions.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ..config import IGNORE, Config
from ..data.images import Facts, Images
from ..data.pipeline import windows_of
from ..data.sampling import Points, spread
from ..errors import RunError
from ..io import atomic
from ..models.metrics import decide

STAGES = 3


def stage_ends(config: Config) -> list[int]:
    """Return the epochs after which the stages end; one stage where no patch is taken on errors."""
    epochs = config.training.epochs
    if not config.data.hard_patches:
        return [epochs]
    return sorted({max(1, round(epochs * stage / STAGES)) for stage in range(1, STAGES + 1)})


def errors_at(path: Path, network: keras.Model, images: Images, facts: Sequence[Facts]) -> list[Points]:
    """Return, for each image, pixels that the network gets wrong; kept in a file, and read from it if it is there.

    Args:
        path: The file.
        network: As trained so far.
        images: The images to train on.
        facts: What is known of each.

    Raises:
        RunError: If the file is damaged.
    """
    if not path.is_file():
        arrays = {f"i{index:05d}": _errors(network, images, index, fact) for index, fact in enumerate(facts)}
        with atomic.written(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    try:
        with np.load(path, allow_pickle=False) as content:
            return [content[f"i{index:05d}"] for index in range(len(facts))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error}): the run cannot be resumed; --overwrite starts anew") from None


def _errors(network: keras.Model, images: Images, index: int, fact: Facts) -> Points:
    wrong = np.zeros(images[index].mask.shape, np.bool_)
    for rows, columns, pixels, mask in windows_of(images, index, fact):
        found = decide(network(pixels[None, :, :, None], training=False), 0.5).numpy()[0]
        error = (found != mask) & (mask != IGNORE)
        place = wrong[rows, columns]
        wrong[rows, columns] = error[: place.shape[0], : place.shape[1]]
    return spread(wrong)
