"""What the findings about single images mean for a set as a whole: what would spoil training, what to know."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..config import Config
from .check import Concern, Finding
from .comparisons import copies, divided, grouped, images_are, misplaced
from .groups import Groups
from .patches import patch_side

SATURATED = 0.02
"""Above this share of saturated pixels the brightest structures have lost their shape."""

MOSTLY = 0.7
"""Cells seldom cover more of a set than this share."""

WILD = 8
"""Pixel sizes of one set rarely differ by more than this factor."""

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Conclusion:
    """What there is to say about a set.

    Attributes:
        findings: One for each annotated image.
        concerns: Errors first.
        summary: The set in a few words, by what they are about.
        verdict: One line: whether one can train on it.
    """

    findings: tuple[Finding, ...]
    concerns: tuple[Concern, ...]
    summary: dict[str, str]
    verdict: str

    @property
    def failed(self) -> bool:
        """Say whether something would spoil training."""
        return any(concern.level == "error" for concern in self.concerns)


def conclude(findings: Sequence[Finding], config: Config, stated: Groups | None = None) -> Conclusion:
    """Draw the conclusions from all findings of a set.

    Args:
        findings: As from ``check``.
        config: Says what is wanted of the images.
        stated: The images' groups, where someone stated them.
    """
    good = [f for f in findings if not f.error]
    groups = grouped(good, stated)
    found = [*_unusable(findings), *_missing_classes(good, config.data.classes), *copies(good), *misplaced(good)]
    found += divided(good, groups)
    found += [*_data_bars(good), *_saturated(good), *_pixel_sizes(good), *_types(good), *_small(good, config)]
    found += [*_empty(good), *_inverted(good, config.data.classes), *_too_few(good)]
    found.sort(key=lambda concern: LEVELS.index(concern.level))
    summary = _summary(findings, config.data.classes, groups)
    return Conclusion(tuple(findings), tuple(found), summary, _verdict(findings, found))


def _verdict(findings: Sequence[Finding], found: Sequence[Concern]) -> str:
    images, levels = counted(len(findings), "annotated image"), Counter(concern.level for concern in found)
    if levels["error"]:
        return f"{images}: not fit to train on, see the {_several(levels['error'], 'error')}"
    fit = f"{images}: {'fit' if len(_learned(findings)) > 1 else 'sound, but too few'} to train on"
    return f"{fit}; see the {_several(levels['warning'], 'warning')} first" if levels["warning"] else fit


def _several(number: int, thing: str) -> str:
    return thing if number == 1 else f"{number} {thing}s"


def _summary(findings: Sequence[Finding], classes: Sequence[str], groups: Groups) -> dict[str, str]:
    good = [f for f in findings if not f.error]
    parts = Counter(f.part for f in findings)
    shares = [statistics.fmean(f.fractions[k] for f in good) for k in range(len(classes))] if good else []
    rows = {
        "images": f"{len(findings)}" + (f" ({parts['train']} train, {parts['test']} test)" if parts["test"] else ""),
        "sizes": _most(Counter(f"{f.shape[1]}x{f.shape[0]}" for f in good)),
        "types": _most(Counter(f.dtype for f in good)),
        "pixel size": _most(Counter(f"{f.pixel_size:.4g} nm" if f.pixel_size else "unknown" for f in good)),
        "mean share": ", ".join(f"{n} {s:.1%}" for n, s in zip(classes[1:], shares[1:], strict=False)),
        "groups": f"{len(set(groups.of.values()))}, from {groups.source}" if groups.known and good else "unknown",
        "data bar": _most(Counter(f"{f.cropped} rows cropped" for f in good if f.cropped)),
    }
    return {name: text for name, text in rows.items() if text}


def _learned(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return what ``fit`` learns from: train/ where there is one, else all."""
    return [f for f in findings if f.part == "train"] or findings


def counted(number: int, thing: str) -> str:
    """Write a number of things, as "1 image" or "2 images"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _most(counts: Counter[str]) -> str:
    """Name the most frequent things with their numbers, the others by how many kinds there are."""
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{name} ({number})" for name, number in counts.most_common(4))
    return shown + (f", {len(counts) - 4} more" if len(counts) > 4 else "")


def _unusable(findings: Sequence[Finding]) -> Iterator[Concern]:
    bad = tuple((f.pair.name, _without_folders(f)) for f in findings if f.error)
    if bad:
        yield Concern(
            "error", f"{len(bad)} of {len(findings)} annotated images cannot be used: mend or remove them", bad
        )


def _without_folders(finding: Finding) -> str:
    """Return a finding's error with bare file names: the image is named beside it."""
    text = finding.error.replace(str(finding.pair.image), finding.pair.image.name)
    return text.replace(str(finding.pair.mask), f"its mask {finding.pair.mask.name}")


def _missing_classes(good: Sequence[Finding], classes: Sequence[str]) -> Iterator[Concern]:
    learned = _learned(good)
    never = [name for k, name in enumerate(classes) if k and not any(f.fractions[k] for f in learned)]
    if learned and len(never) == len(classes) - 1:
        yield Concern("error", f"no mask to train on holds any {' or '.join(never)}: there is nothing to learn")
    elif learned and never:
        yield Concern("warning", f"no mask to train on holds any {' or '.join(never)}: it cannot be learned")


def _data_bars(good: Sequence[Finding]) -> Iterator[Concern]:
    for rows in sorted({f.data_bar for f in good if f.data_bar}):
        barred = [f for f in good if f.data_bar == rows]
        named = tuple(
            (f.pair.name, f"rows {f.shape[0] - rows} to {f.shape[0] - 1} look like a data bar") for f in barred
        )
        which = f"{counted(len(barred), 'image')} of {len(good)} seem{'s' if len(barred) == 1 else ''}"
        remedy = f"pass --data-bar {rows}" + (
            ", which cuts every image, or crop these" if len(barred) < len(good) else ""
        )
        yield Concern("warning", f"{which} to have a data bar of {rows} rows: {remedy}", named)


def _saturated(good: Sequence[Finding]) -> Iterator[Concern]:
    bright = [f for f in good if f.saturated > SATURATED]
    named = tuple((f.pair.name, f"{f.saturated:.1%} of the pixels are at {f.values[1]:g}") for f in bright)
    if named:
        title = f"{images_are(named)} saturated, the brightest parts have lost their shape: record with less gain"
        yield Concern("warning", title, named)


def _pixel_sizes(good: Sequence[Finding]) -> Iterator[Concern]:
    known = [f.pixel_size for f in good if f.pixel_size]
    without = tuple((f.pair.name, "no pixel size") for f in good if not f.pixel_size)
    if known and without:
        title = f"{len(without)} of {len(good)} images have no pixel size, so none is used: pass --pixel-size"
        yield Concern("warning", title, without)
    elif without:
        yield Concern("note", "no image has a pixel size: the model will be tied to this magnification")
    middle = statistics.median(known) if known else 0.0
    odd = tuple((f.pair.name, f"{f.pixel_size:.4g} nm") for f in good if f.pixel_size and _far(f.pixel_size, middle))
    if odd:
        yield Concern("warning", f"pixel sizes far from the others, {middle:.4g} nm: are they right?", odd)
    if known and max(known) > 1.01 * min(known):
        text = f"pixel sizes differ, {min(known):.4g} to {max(known):.4g} nm"
        text += "" if without else f": images are resampled to one, {middle:.4g} nm unless objects are large"
        yield Concern("note", text)


def _far(size: float, middle: float) -> bool:
    return max(size, middle) > WILD * min(size, middle)


def _types(good: Sequence[Finding]) -> Iterator[Concern]:
    kinds = Counter(f.dtype for f in good)
    if len(kinds) > 1:
        yield Concern("note", f"bit depths differ, {_most(kinds)}: each image is normalised by itself, so all are used")


def _small(good: Sequence[Finding], config: Config) -> Iterator[Concern]:
    """Name images smaller than the smallest patch that ``fit`` would choose; for large objects it is larger."""
    learned = _learned(good)
    sides = [_network_side(f, learned, config) for f in learned]
    patch = config.data.patch or (patch_side(sides, config.model.stride, across=0) if sides else 0)
    narrow = [f for f, side in zip(learned, sides, strict=True) if side < patch]
    named = tuple((f.pair.name, f"{f.shape[1]}x{f.shape[0]} is padded") for f in narrow)
    if named:
        title = f"{images_are(named)} smaller than the patch of {patch} px"
        yield Concern("note", f"{title}: padded at the right and the bottom, padding is not learned from", named)


def _network_side(finding: Finding, learned: Sequence[Finding], config: Config) -> int:
    """Return an image's shorter side as the network sees it; see ``preprocess.model_shape``."""
    sizes = [f.pixel_size for f in learned if f.pixel_size]
    if config.data.scale == "shape":
        return min(config.data.shape)
    if config.data.scale == "none" or len(sizes) < len(learned) or not finding.pixel_size:
        return min(finding.shape)
    target = config.data.pixel_size or statistics.median(sizes)
    return max(1, int(min(finding.shape) * finding.pixel_size / target + 0.5))


def _inverted(good: Sequence[Finding], classes: Sequence[str]) -> Iterator[Concern]:
    share = statistics.fmean(1 - f.fractions[0] for f in good) if good else 0.0
    if share > MOSTLY and len(classes) == 2:
        title = f"{classes[1]} covers {share:.0%} of the images: right, or do the masks have 0 and 1 exchanged?"
        yield Concern("warning", title)


def _empty(good: Sequence[Finding]) -> Iterator[Concern]:
    named = tuple((f.pair.name, "no foreground") for f in good if f.empty)
    if named and len(named) < len(good):
        title = f"{len(named)} of {len(good)} masks hold no foreground: right if those images show none"
        yield Concern("note", title, named)


def _too_few(good: Sequence[Finding]) -> Iterator[Concern]:
    if len(_learned(good)) == 1:  # no error: one image is enough to score a model on
        yield Concern(
            "note",
            "fit needs at least 2 annotated images, one of them to choose the best epoch by, "
            "or --set data.split=area to hold back a strip of the one",
        )
