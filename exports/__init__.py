"""A run as one bundle that other programs load: raw image in, masks out."""

from .bundle import Bundle, export

__all__ = ["Bundle", "export"]
