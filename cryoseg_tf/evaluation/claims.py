"""What may be claimed of a pair that was compared, and what not, in one plain sentence."""

from collections.abc import Mapping

from .paired import Paired

ALPHA = 0.05
"""A p-value below it is taken to say that there is a difference."""


def claim(pair: Paired, score: str, seen: Mapping[str, int]) -> str:
    """Return the sentence.

    Args:
        pair: What was found.
        score: What the score is called.
        seen: Of each name, how many of the images it was trained with.
    """
    trained = [f"{name} was trained on {seen[name]}" for name in (pair.first, pair.second) if seen.get(name)]
    if trained:
        return f"Nothing may be claimed of new images: {' and '.join(trained)} of these images."
    if pair.units == 0:
        return "Nothing may be claimed: no image has a score for both."
    if pair.wins == pair.losses == 0:
        both = f"{pair.first} and {pair.second} have the same {score}"
        return f"On every one of these images {both}: nothing sets them apart."
    observed = _observed(pair, score)
    if pair.units == 1:
        return f"{observed}, but one {pair.unit} says nothing of others: no more may be claimed."
    if pair.smallest >= ALPHA:
        alone = 2.0 ** (1 - pair.units) >= ALPHA
        sample = f"{pair.units} {pair.unit}s" + ("" if alone else f" and with {pair.tests} comparisons")
        return (
            f"{observed}, but from {sample} no p-value below {ALPHA:g} is possible: "
            "it may not be claimed that either is better on others."
        )
    return _tested(pair, score, observed)


def _observed(pair: Paired, score: str) -> str:
    mean, _ = pair.difference
    if mean == 0:
        return f"On these images {pair.first} and {pair.second} have the same mean {score}"
    higher, lower = (pair.first, pair.second) if mean > 0 else (pair.second, pair.first)
    return f"On these images the mean {score} of {higher} is {abs(mean):.3f} above that of {lower}"


def _tested(pair: Paired, score: str, observed: str) -> str:
    _, (low, high) = pair.difference
    corrected = f", corrected for {pair.tests} comparisons" if pair.tests > 1 else ""
    assumed = ", taken to be independent" if pair.unit == "image" else ""
    found = f"p = {pair.holm:.2g} from {pair.units} {pair.unit}s{assumed}{corrected}"
    unsure = f"the mean difference may be anything from {low:+.3f} to {high:+.3f}"
    if pair.holm >= ALPHA:
        return f"{observed}, but no difference may be claimed ({found}), nor that there is none: {unsure}."
    better, worse = (pair.first, pair.second) if pair.effect > 0 else (pair.second, pair.first)
    claimed = f"It may be claimed that {better} has a higher {score} than {worse} on"
    if low * high > 0 and low * pair.effect > 0:
        least, most = sorted((abs(low), abs(high)))
        by = f"by {least:.3f} to {most:.3f} on average ({found})"
        return f"{claimed} images like these, {by}, but not on those of another preparation or microscope."
    return f"{claimed} most images like these ({found}), but not by how much: {unsure}."
