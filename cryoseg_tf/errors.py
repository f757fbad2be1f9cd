"""The errors a user can cause. Each message names the thing, its value, and the rule or the remedy."""


class CryoSegError(Exception):
    """Base of all errors below; the command line turns it into a message and exit code 2."""


class ConfigError(CryoSegError):
    """A setting is unknown or has a value that cannot be used."""


class ImageError(CryoSegError):
    """An image or mask file cannot be read or used."""


class DataError(CryoSegError):
    """A folder of annotated images is incomplete or inconsistent."""


class RunError(CryoSegError):
    """A run folder is missing, in use, damaged, or not what was asked for."""


class ExportError(CryoSegError):
    """A run cannot be exported as asked."""
