"""What a Thermo Fisher microscope would write beside the pixels, in tag 34682; it says that it is a phantom."""

from dataclasses import dataclass

TAG = 34682


@dataclass(frozen=True)
class Acquisition:
    """How and where an image was taken: stage in um, tilt in degrees, beam in kV."""

    pixel_size: float
    size: int
    stage: tuple[float, float]
    tilt: float
    voltage: float


def thermo_text(taken: Acquisition) -> str:
    """Return the tag's text: sections as in an INI file, in metres, radians, volts and seconds."""
    pixel, field = f"{taken.pixel_size * 1e-9:.9g}", f"{taken.pixel_size * taken.size * 1e-9:.9g}"
    x, y = (f"{place * 1e-6:.9g}" for place in taken.stage)
    volts, radians = f"{taken.voltage * 1000:g}", f"{taken.tilt * 0.017453292519943295:.9g}"
    scan = {"PixelWidth": pixel, "PixelHeight": pixel, "HorFieldsize": field, "VerFieldsize": field}
    sections: dict[str, dict[str, str]] = {
        "User": {"UserText": "synthetic image of cryoseg-tf phantom"},
        "System": {"SystemType": "Phantom"},
        "Beam": {"HV": volts, "ScanRotation": "0", "Beam": "EBeam", "Scan": "EScan"},
        "EBeam": {"HV": volts, "HFW": field, "VFW": field, "WD": "0.004"},
        "Scan": {"Dwelltime": "1e-06", **scan},
        "EScan": {"Dwell": "1e-06", **scan},
        "Stage": {"StageX": x, "StageY": y, "StageZ": "0.004", "StageR": "0", "StageT": radians},
        "Image": {"ResolutionX": str(taken.size), "ResolutionY": str(taken.size)},
        "Detectors": {"Number": "1", "Name": "ETD"},
        "PrivateFei": {"BitShift": "0", "DatabarHeight": "0"},
    }
    parts = (
        f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in content.items())
        for name, content in sections.items()
    )
    return "\r\n".join(parts)
