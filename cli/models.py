"""What a run or a bundle is, for ``cryoseg-tf info``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryoseg_tf.config import Config, Contract
    from cryoseg_tf.exports.bundle import Provenance
    from cryoseg_tf.run import RunInfo

IMAGE = (1024, 1536)
"""Height and width of the image whose arithmetic is told."""


def is_model(path: Path) -> bool:
    """Whether a path is a run or a bundle."""
    from cryoseg_tf.exports.bundle import is_bundle
    from cryoseg_tf.run import Run

    try:
        return is_bundle(path) or Run(path).exists
    except OSError:  # it may not be looked into: whoever reads it says so
        return False


def about_model(path: Path) -> dict[str, Any]:
    """Return what is known of a run or bundle as JSON has it; what is unknown is None.

    Raises:
        RunError, ExportError, ConfigError: If it cannot be read.
    """
    from cryoseg_tf.config import Config
    from cryoseg_tf.exports.bundle import Bundle, is_bundle
    from cryoseg_tf.run import Run

    if is_bundle(path):
        manifest = Bundle.open(path).manifest
        origin, contract = manifest.provenance, manifest.contract
        known = {"bundle": str(path), "formats": sorted(manifest.formats), **_learned(origin)}
        many = (origin.networks, origin.augmented)
        config = Config.parse(origin.config, str(path))
    else:
        run = Run(path)
        info, contract = run.info, run.contract
        known = {"run": str(path), "status": info.status, **_learned(info)}
        many = (len(run.members()), info.augmented)
        config = run.config
    return known | _use(contract) | _cost(config, contract, *many)


def model_lines(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of each line."""
    networks = f"{row['networks']} of them, " if row["networks"] > 1 else ""
    networks += "each in eight positions, " if row["augmented"] else ""
    height, width = row["network_shape"]
    best = "" if row["best_epoch"] is None else f"epoch {row['best_epoch']}"
    mean = ", the mean of what each network has alone" if row["networks"] > 1 else ""
    dice = "" if row["validation_dice"] is None else f"Dice {row['validation_dice']:.3f} on the validation images{mean}"
    table = [
        ("status", row.get("status", "")),
        ("formats", ", ".join(row.get("formats", ()))),
        ("classes", ", ".join(row["classes"])),
        ("chosen", ", ".join(filter(None, (best, dice)))),
        ("pixel size", f"{row['pixel_size']:g} nm for the network" if row["pixel_size"] else "not used"),
        ("network", f"{networks}{row['architecture']}, {row['base_filters']} base filters, depth {row['depth']}"),
        ("weights", f"{row['weights']:,} trainable"),
        (
            "arithmetic",
            f"{row['flops'] / 1e9:.3g} GFLOP for an image of {IMAGE[1]}x{IMAGE[0]}, {width}x{height} for the network",
        ),
    ]
    return [(label, text) for label, text in table if text]


def _learned(made: "RunInfo | Provenance") -> dict[str, Any]:
    return {"best_epoch": made.best_epoch, "validation_dice": made.validation_dice}


def _use(contract: "Contract") -> dict[str, Any]:
    return contract.model_dump(mode="json", include={"classes", "threshold", "scale", "factor", "pixel_size"})


def _cost(config: "Config", contract: "Contract", networks: int, augmented: bool) -> dict[str, Any]:
    """Return size and arithmetic of the networks, which the image goes through one after the other."""
    from cryoseg_tf.data.preprocess import model_shape
    from cryoseg_tf.models.cost import flops
    from cryoseg_tf.models.registry import build_model

    model = config.model
    height, width = model_shape(*IMAGE, contract.pixel_size or 0.0, contract).numpy().tolist()
    padded = [-(-side // model.stride) * model.stride for side in (height, width)]
    network = build_model(model, contract.channels)
    return {
        **model.model_dump(include={"architecture", "base_filters", "depth"}),
        "networks": networks,
        "augmented": augmented,
        "weights": sum(int(weight.shape.num_elements() or 0) for weight in network.trainable_variables) * networks,
        "network_shape": [height, width],
        "flops": flops(network, *padded) * networks * (8 if augmented else 1),
    }
