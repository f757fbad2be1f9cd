"""Synthetic cryo-SEM grid windows with exact truth: phantoms, to develop on while real images are secret.

Everything has its size in nanometres and is drawn from the back to the front; the microscope comes
after that and changes no mask::

    film, bars, tears, dirt -> crystals -> cells -> veil, blanket, crystals, frost     the specimen
    slopes and shadow -> coating -> charging -> focus, blur, vibration -> noise -> gray levels
"""

from .drawing import Window, render
from .options import BACKGROUND, CELL, CLASSES, ICE, MESH, PhantomOptions
from .table import Object
from .writing import write_phantom

__all__ = [
    "BACKGROUND",
    "CELL",
    "CLASSES",
    "ICE",
    "MESH",
    "Object",
    "PhantomOptions",
    "Window",
    "render",
    "write_phantom",
]
