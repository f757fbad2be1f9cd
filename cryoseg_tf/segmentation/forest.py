"""A random forest on the surroundings of each pixel, as in ilastik and Labkit: a competitor without a network.

Features are intensity, edges and texture at several scales, by scikit-image
(``multiscale_basic_features``). After Berg et al. 2019 (doi:10.1038/s41592-019-0582-9).
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..config import IGNORE, Config, channels
from ..data.images import prepare
from ..data.pairs import Pair, read_annotated
from ..data.preprocess import normalise
from ..data.splits import Split
from ..io.mask import Mask
from ..training.choices import resolve
from ..training.survey import survey
from .method import Watch, unwatched
from .predictor import Array
from .segmenter import Segmenter

PIXELS = 200_000
"""To train on, over all images."""

DEPTH, SHARE = 20, 0.5
"""Of each tree: the most levels, and the share of the pixels that it sees."""

STEP = 8
"""Trees that are grown between two looks at the clock."""


class Forest:
    """Runs a random forest as a ``Predictor``: what it looks at has bounds, so large images are tiled.

    Args:
        classes: The names of the classes.
        trees: How many to grow.
        sigma_max: The coarsest scale in pixels; the finest is 1, and each is twice the one before.
        seed: The same seed, images and settings give the same forest.
        threads: To compute with; None for one per core.
    """

    stride, batch = 1, 1

    def __init__(
        self, classes: tuple[str, ...], trees: int, sigma_max: float, seed: int, threads: int | None = None
    ) -> None:
        from sklearn.ensemble import RandomForestClassifier

        self.channels = channels(classes)
        # the reach of scipy's Gaussian, and of two gradients after it
        self.halo: int | None = int(4 * sigma_max + 0.5) + 2
        self._trees, self._sigma_max, self._threads = trees, sigma_max, threads
        self._forest = RandomForestClassifier(
            max_depth=DEPTH, max_samples=SHARE, n_jobs=threads or -1, random_state=seed, warm_start=True
        )

    def features(self, image: Array) -> Array:
        """Return ``(height * width, features)`` float32 of a normalised ``(height, width)`` image."""
        from skimage.feature import multiscale_basic_features

        found = multiscale_basic_features(image, sigma_min=1, sigma_max=self._sigma_max, workers=self._threads)
        return np.asarray(found, np.float32).reshape(image.size, -1)

    def learn(self, features: Array, classes: npt.NDArray[np.uint8], watch: Watch = unwatched) -> None:
        """Train on ``(n, features)`` pixels and their ``(n,)`` classes."""
        with watch(self._trees, "the forest grows trees") as progress:
            for before in range(0, self._trees, STEP):
                count = min(before + STEP, self._trees)
                self._forest.set_params(n_estimators=count).fit(features, classes)
                progress(count, self._trees, "")

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            yield np.stack([self._probabilities(image[..., 0]) for image in batch])

    def _probabilities(self, image: Array) -> Array:
        given = self._forest.predict_proba(self.features(image))
        # a class that no training image shows has no column
        every = np.zeros((image.size, max(self.channels, 2)), np.float32)
        every[:, self._forest.classes_] = given
        return every[:, -self.channels :].reshape(*image.shape, self.channels)


def train_forest(
    pairs: Sequence[Pair],
    config: Config,
    *,
    trees: int = 100,
    sigma_max: float = 16.0,
    threads: int | None = None,
    watch: Watch = unwatched,
) -> Segmenter:
    """Train a random forest on all of these images, at the scale that a network would see them at.

    Args:
        pairs: Annotated images.
        config: ``data`` says how they are read and scaled; ``seed``.
        trees: See ``Forest``.
        sigma_max: See ``Forest``.
        threads: See ``Forest``.
        watch: Shows progress over the images.

    Raises:
        ImageError: If an image or mask cannot be used.
        DataError: If no mask holds any foreground, or the images do not suit the settings.
    """
    found = survey(Split(tuple(pairs), ()), config)
    contract = resolve(config, found).contract
    forest = Forest(contract.classes, trees, sigma_max, config.seed, threads)
    rng, features, classes = np.random.default_rng(config.seed), [], []
    with watch(len(pairs), "the forest looks at images") as progress:
        for done, (pair, facts) in enumerate(zip(pairs, found.train, strict=True), 1):
            prepared = prepare(read_annotated(pair, config.data), contract)
            image = normalise(prepared.pixels.astype(np.float32), np.float32(facts.offset), np.float32(facts.scale))
            chosen = _drawn(prepared.mask, PIXELS // len(pairs), rng)
            features.append(forest.features(image)[chosen])
            classes.append(prepared.mask.ravel()[chosen])
            progress(done, len(pairs), pair.name)
    forest.learn(np.concatenate(features), np.concatenate(classes), watch)
    return Segmenter(forest, contract)


def _drawn(mask: Mask, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the places of at most ``count`` annotated pixels.

    A class is drawn in proportion to the square root of its area: in proportion to the area a rare one would
    hardly be there, and with equal numbers it would be found everywhere.
    """
    truth = mask.ravel()
    areas = np.bincount(truth, minlength=IGNORE + 1)[:IGNORE]
    wanted = np.sqrt(areas) / max(np.sqrt(areas).sum(), 1) * count
    drawn = [
        rng.choice(np.flatnonzero(truth == index), min(int(wanted[index]), int(areas[index])), replace=False)
        for index in np.flatnonzero(areas)
    ]
    return np.concatenate(drawn) if drawn else np.empty(0, np.intp)
