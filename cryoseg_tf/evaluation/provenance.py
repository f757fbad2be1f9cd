"""What a model is, what it was trained on and with, in words for the report."""

from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..config import AugmentationConfig, Config
from ..errors import RunError
from ..run import Run


def facts(run: Run) -> dict[str, str]:
    """Return what the model is and what it was trained on, by name."""
    config, contract, info, members = run.config, run.contract, run.info, run.members()
    reached = "" if info.validation_dice is None else f", with validation Dice {info.validation_dice:.3f}"
    return {
        **_images(run),
        "Classes": ", ".join(config.data.classes),
        "Network": _network(run),
        "Scale": _scale(run),
        "Patch": f"{config.data.patch or 'unknown'} pixels, {config.training.batch_size} at a time",
        "Augmentation": _augmentation(config.training.augmentation),
        "Loss": config.training.loss,
        "Optimizer": _optimizer(config),
        "Epochs": f"{', '.join(str(len(member.history())) for member in members)} of {config.training.epochs}",
        "Best epoch": f"{', '.join(str(member.info.best_epoch or 'none') for member in members)}{reached}",
        "Threshold": f"{contract.threshold:g}" if contract.channels == 1 else "most probable class",
        "Temperature": f"{contract.temperature:g}{_gain(info.calibration)}",
        "Seed": str(config.seed),
        "State of the run": info.status,
    }


def versions(run: Run) -> dict[str, str]:
    """Return what the model was made with, and what wrote the report."""
    made = run.environment()
    packages = [f"{name} {version}" for name, version in dict(made.get("packages", {})).items()]
    return {
        "Report written by": f"cryoseg-tf {__version__}",
        "Model trained with": ", ".join([*packages, f"Python {made.get('python', 'unknown')}"]),
        "On": f"{made.get('platform', 'unknown')}, {made.get('device', 'unknown')}",
        "SHA-256 of the model": _fingerprint(run),
    }


def trained_on(run: Run) -> dict[str, Sequence[str]]:
    """Return the names of the images that trained, and of those that chose the best epoch."""
    split = _split(run)
    parts = {"learned from": split.get("train"), "chose the best epoch by": split.get("validation")}
    return {name: [str(image) for image in images] for name, images in parts.items() if isinstance(images, list)}


def _images(run: Run) -> dict[str, str]:
    split = _split(run)
    train, validation = (len(names) if isinstance(names := split.get(part), list) else "unknown"
                         for part in ("train", "validation"))  # fmt: skip
    areas = ", a strip of each" if split.get("areas") else ""
    groups = split.get("groups")
    return {
        "Training images": str(train),
        "Validation images": f"{validation}{areas}, which chose the best epoch",
        "Groups": str(len(set(groups.values()))) if isinstance(groups, dict) else "unknown",
    }


def _network(run: Run) -> str:
    model, info = run.config.model, run.info
    one = f"{model.architecture}, depth {model.depth}, {model.base_filters} base filters"
    turned = ", each of an image flipped and turned in eight ways" if info.augmented else ""
    return f"{one}; {info.combine} of {len(info.members)}{turned}" if info.members else one


def _fingerprint(run: Run) -> str:
    try:
        return run.fingerprint()
    except RunError:
        return "no model.keras"


def _split(run: Run) -> dict[str, Any]:
    try:
        return run.split()
    except RunError:  # the report has more to say than this
        return {}


def _scale(run: Run) -> str:
    contract = run.contract
    low, high = contract.pixel_size_range or (0, 0)
    accepted = f"; images of {low:g} to {high:g} nm are taken" if contract.pixel_size_range else ""
    return {
        "none": "images as they are",
        "pixel_size": f"images are brought to {contract.pixel_size or 0:g} nm per pixel{accepted}",
        "factor": f"images are made {contract.factor or 1:.3g} times their size",
        "shape": f"images are brought to {' x '.join(map(str, contract.shape or ()))} pixels",
    }[contract.scale]


def _augmentation(config: AugmentationConfig) -> str:
    if not config.enabled:
        return "none"
    shares: dict[str, Any] = {
        name.replace("_", " "): value
        for name, field in AugmentationConfig.model_fields.items()
        # shares of patches end at 1; degrees, factors and pixels do not
        if any(getattr(limit, "le", None) == 1 for limit in field.metadata) and (value := getattr(config, name))
    }
    flips = ["flips and quarter turns"] if config.flips else []
    return ", ".join([*flips, *(f"{name} ({share:.0%} of patches)" for name, share in shares.items())]) or "none"


def _optimizer(config: Config) -> str:
    training = config.training
    return f"{training.optimizer}, learning rate {training.learning_rate:g}, {training.schedule} schedule"


def _gain(calibration: dict[str, float] | None) -> str:
    if calibration is None:
        return ", not calibrated"
    if not {"ece_before", "ece"} <= calibration.keys():
        return ""
    return f": calibration error {calibration['ece_before']:.3f} before, {calibration['ece']:.3f} after, in validation"
