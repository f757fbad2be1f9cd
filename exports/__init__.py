"""A run as one bundle that other programs load: raw image in, masks out."""

from .bundle import Bundle
from .exporter import ExportOptions, export

__all__ = ["Bundle", "ExportOptions", "export"]
