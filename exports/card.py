"""The model card: what a bundle's model is, in words for who is to trust it."""

from .bundle import Manifest


def model_card(manifest: Manifest) -> str:
    """Return ``MODEL_CARD.md``, after Mitchell et al. 2019 (doi:10.1145/3287560.3287596)."""
    return f"# {', '.join(manifest.contract.classes[1:])}\n"
