"""Self-contained HTML pages from the templates of a package."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def templates(package: str) -> Environment:
    """Return the templates in a package's ``templates/``, and the page here that all of them fill.

    What they print is escaped, what they lack is an error.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("cryoseg_tf.io")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
