"""Whether answers are those of the trained model: the rules, on arrays."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryoseg_tf.config import EvaluationConfig
from cryoseg_tf.data.preprocess import EMPTY, Status
from cryoseg_tf.evaluation.components import components, measured, overlaps
from cryoseg_tf.evaluation.objects import IOUS
from cryoseg_tf.evaluation.scores import Scores, pixel_scores
from cryoseg_tf.io.mask import Mask
from cryoseg_tf.segmentation.predictor import Array

from .bundle import Manifest
from .runtimes import Answer


@dataclass(frozen=True)
class Objects:
    """How many objects are the same.

    Attributes:
        golden: The trained model's.
        found: Those of them that were found again, with an IoU of at least 0.5.
        extra: Objects that the trained model has not.
    """

    golden: int = 0
    found: int = 0
    extra: int = 0

    def __add__(self, other: "Objects") -> "Objects":
        """Pool two images, or two classes."""
        return Objects(self.golden + other.golden, self.found + other.found, self.extra + other.extra)


class Comparison:
    """Compares the answers of a runtime with those of the trained model, image by image.

    In float32 a probability may differ by ``tolerances.probability``, and a pixel of the mask only
    where the decision is as near. Where the network has less precision, the Dice coefficient of
    each class over all images must reach ``tolerances.dice``, and the objects must be the same.

    Args:
        manifest: Of the bundle.
        precision: Of the network.

    Attributes:
        max_difference: The largest of any probability.
        differing_pixels: Of the masks, in all images.
        objects: Of all classes but the background, in all images.
    """

    def __init__(self, manifest: Manifest, precision: str) -> None:
        self.manifest = manifest
        self.exact = precision == "float32"
        self.max_difference = 0.0
        self.differing_pixels = 0
        self.objects = Objects()
        self._scores = [Scores(0, 0, 0) for _ in manifest.contract.classes]
        self._problems: list[str] = []

    def _count(self, golden: Mask, found: Mask) -> None:
        for index in range(len(self._scores)):
            self._scores[index] += pixel_scores(golden, found, index)
            if index:
                self.objects += same_objects(golden == index, found == index)

    def add(self, name: str, golden: Answer, answer: Answer) -> None:
        """Compare the answers to one image."""
        problem = _unlike(golden, answer)
        if problem:
            self._problems.append(f"{name}: {problem}")
            return
        self.max_difference = max(self.max_difference, _largest(golden.probability, answer.probability))
        self.differing_pixels += int(np.count_nonzero(golden.mask != answer.mask))
        if golden.status == Status.OK:  # in a square without contrast, what is found is noise
            self._count(golden.mask, answer.mask)
        if self.exact:
            problem = self._beyond_rounding(golden, answer)
            self._problems += [f"{name}: {problem}"] if problem else []

    @property
    def dice(self) -> dict[str, float]:
        """The Dice coefficient of each class over all images; 1 where it is absent from both."""
        names = self.manifest.contract.classes
        return {name: _or_one(score.dice) for name, score in zip(names, self._scores, strict=True)}

    @property
    def reason(self) -> str:
        """Why the answers are not the same; empty if they are."""
        problems = self._problems + ([] if self.exact else list(self._of_all_images()))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0] + more if problems else ""

    def _beyond_rounding(self, golden: Answer, answer: Answer) -> str:
        tolerance = self.manifest.tolerances.probability
        largest = _largest(golden.probability, answer.probability)
        if largest > tolerance:
            return f"probabilities differ by {largest:.2g}, more than {tolerance:.2g}"
        clear = margin(golden.probability, self.manifest.contract.threshold) > tolerance
        wrong = int(np.count_nonzero(clear & (golden.mask != answer.mask)))
        return f"{wrong} pixels of the mask differ where the decision is clear" if wrong else ""

    def _of_all_images(self) -> list[str]:
        least = self.manifest.tolerances.dice
        low = {name: value for name, value in sorted(self.dice.items(), key=lambda item: item[1]) if value < least}
        # rounded down: 0.98996 is not 0.99
        shown = ", ".join(f"{math.floor(value * 1e4) / 1e4:.4f} of {name}" for name, value in low.items())
        problems = [f"Dice {shown}: less than {least:g}"] if low else []
        missing, extra = self.objects.golden - self.objects.found, self.objects.extra
        problems += [f"{missing} of {self.objects.golden} objects are missing"] if missing else []
        problems += [f"{extra} {'object' if extra == 1 else 'objects'} too many"] if extra else []
        return problems


def margin(probability: Array, threshold: float) -> Array:
    """Return how far each pixel's ``(height, width, channels)`` probability is from another decision.

    With one channel from the threshold; with more, the distance of the two largest.
    """
    if probability.shape[-1] == 1:
        distance: Array = np.abs(probability[..., 0] - np.float32(threshold))
        return distance
    ordered = np.sort(probability, axis=-1)
    return ordered[..., -1] - ordered[..., -2]


def same_objects(golden: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> Objects:
    """Compare the objects of one class, by the settings that ``evaluate`` has if none are given.

    Those of at least ``minimum_area`` must have a partner; that may be smaller, lest a pixel more or
    less decide.

    Args:
        golden: ``(height, width)``, true where the trained model sees the class.
        found: The same of a runtime.
    """
    config = EvaluationConfig()
    sides = [components(mask, config) for mask in (golden, found)]
    pairs = overlaps(sides[0], sides[1], np.ones(golden.shape, bool))[1:, 1:].tocoo()
    areas = [np.array([one.area for one in measured(*side)], int) for side in sides]
    union = areas[0][pairs.row] + areas[1][pairs.col] - pairs.data
    same = pairs.data >= IOUS[0] * union
    missing = areas[0] >= config.minimum_area
    total = int(missing.sum())
    extra = areas[1] >= config.minimum_area
    missing[pairs.row[same]] = False
    extra[pairs.col[same]] = False
    return Objects(total, total - int(missing.sum()), int(extra.sum()))


def _unlike(golden: Answer, answer: Answer) -> str:
    """Say what makes two answers incomparable, or wrong whatever the precision."""
    if answer.status != golden.status:
        return f"status {answer.status} instead of {golden.status}"
    if answer.mask.shape != golden.mask.shape or answer.probability.shape != golden.probability.shape:
        return f"a mask of {_size(answer.mask)} and probabilities {answer.probability.shape} for {_size(golden.mask)}"
    if not np.isfinite(answer.probability).all():
        return "probabilities that are no numbers"
    if answer.status in EMPTY and answer.mask.any():
        return f"status {answer.status}, but the mask is not empty"
    return ""


def _largest(one: Array, other: Array) -> float:
    return float(np.abs(one - other).max(initial=0.0))


def _or_one(value: float) -> float:
    return 1.0 if math.isnan(value) else value


def _size(mask: Mask) -> str:
    return "x".join(map(str, reversed(mask.shape)))
