"""The ``cryoseg-tf`` command."""
