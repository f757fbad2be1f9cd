"""What each vendor and program writes is understood; what is absurd is refused with its name and value."""

import base64
import json

import numpy as np
import pytest
import tifffile

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph

XML = """<?xml version="1.0" encoding="utf-8"?>
<Metadata xmlns:nil="http://schemas.fei.com/Metadata/v1/2013/07">
 <Instrument><InstrumentClass>Aquilos 2</InstrumentClass></Instrument>
 <Acquisition><BeamType>Ion</BeamType></Acquisition>
 <Optics><AccelerationVoltage>30000</AccelerationVoltage><WorkingDistance>0.0165</WorkingDistance>
  <ScanFieldOfView><X>1.92E-05</X><Y>1.6E-05</Y></ScanFieldOfView></Optics>
 <StageSettings><StagePosition><X>0.001</X><Y>-0.002</Y><Z>0.004</Z><Rotation>0.5</Rotation>
  <Tilt><Alpha>0.785398163</Alpha><Beta>0</Beta></Tilt></StagePosition></StageSettings>
 <ScanSettings><DwellTime>1E-06</DwellTime><ScanRotation>3.14159265</ScanRotation></ScanSettings>
 <Detectors><ScanningDetector><DetectorName>ICE</DetectorName></ScanningDetector></Detectors>
 <BinaryResult><ImageSize><X>192</X><Y>160</Y></ImageSize><PixelSize>
  <X unit="m" unitPrefixPower="1">1E-07</X><Y unit="m" unitPrefixPower="1">1E-07</Y></PixelSize></BinaryResult>
</Metadata>"""


def memento(name, content):
    return f"<item><key><string>{name}</string></key><value><MementoItem>{content}</MementoItem></value></item>"


def leaf(name, value):
    return memento(name, f"<MementoItemUnit>MementoItemUnitMeter</MementoItemUnit><anyType>{value}</anyType>")


SIDES = leaf("Width", "1E-07") + leaf("Height", "1E-07")
MEMENTO = "<MementoItemCollection>{}</MementoItemCollection>".format(
    memento("Scan", f"<MementoItemSection>{memento('PixelSize', f'<MementoItemSection>{SIDES}</MementoItemSection>')}"
            "</MementoItemSection>")
)  # fmt: skip
PHENOM = """<?xml version="1.0"?><FeiImage><databarHeight>64</databarHeight>
<pixelWidth unit="um">0.1</pixelWidth><pixelHeight unit="um">0.1</pixelHeight>
<instrument><type>Phenom</type></instrument><acquisition><scan><detector>BSD</detector></scan></acquisition></FeiImage>"""
ZEISS = "\r\n".join(
    ["1", "2.5", "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = {}", "AP_WIDTH", "Width = 19.20 \u00b5m", "AP_STAGE_AT_X",
     "Stage at X = 1.000 mm", "AP_STAGE_AT_Y", "Stage at Y = -2.000 mm", "AP_STAGE_AT_Z", "Stage at Z = 4.000 mm",
     "AP_STAGE_AT_T", "Stage at T = 45.0 \u00b0", "AP_WD", "WD = 4.0 mm", "AP_ACTUALKV", "EHT = 2.00 kV",
     "DP_DETECTOR_TYPE", "Detector = SE2", "DP_IMAGE_STORE", "Store resolution = 192 * 160", "DP_DWELL_TIME",
     "Dwell Time = 100 ns", ""]
)  # fmt: skip
STAGE = {"x": 1e-3, "y": -2e-3, "z": 4e-3, "r": 0.5, "t": 0.785398163}
BEAM = {"voltage": 2000.0, "working_distance": 4e-3, "scan_rotation": 3.14159265}
FIBSEM = {"pixel_size": {"x": 1e-7, "y": 1e-7}, "version": "v1"}
OLD_FIBSEM = FIBSEM | {
    "beam_type": "ELECTRON",
    "hfw": 1.92e-5,
    "dwell_time": 1e-6,
    "detector_settings": {"type": "ETD"},
    "microscope_state": {"absolute_position": STAGE, "eb_settings": BEAM},
}
ION = {"stage_position": STAGE, "ion_beam": BEAM, "ion_detector": {"type": "ICE"}, "electron_beam": {"voltage": 7.0}}
NEW_FIBSEM = FIBSEM | {"image": {"beam_type": "ION", "hfw": 1.92e-5, "dwell_time": 1e-6}, "microscope_state": ION}

STAGED = {"stage_x": 1000, "stage_y": -2000, "stage_z": 4000, "tilt": 45}
FULL = STAGED | {"field_width": 19200, "rotation": np.degrees(0.5), "scan_rotation": 180, "dwell": 1}


def checked(read, expected, **words):
    assert read.pixel_size == pytest.approx(100, rel=1e-4)
    for name, value in expected.items():
        assert getattr(read.metadata, name) == pytest.approx(value, rel=1e-6), name
    assert {name: getattr(read.metadata, name) for name in words} == words


def test_thermo_ini(tagged, thermo):
    read = read_micrograph(tagged({34682: thermo(70)}, 70))
    known = FULL | {"beam_energy": 2, "working_distance": 4}
    checked(read, known, vendor="Thermo Fisher", instrument="Helios G4", detector="ETD", beam="electron")


@pytest.mark.parametrize(
    "raw",
    [XML.encode(), base64.b64encode(b"\xef\xbb\xbf" + XML.encode())],
    ids=["xml", "base64 with a byte-order mark"],
)
@pytest.mark.parametrize("code", [34680, 34683])
@pytest.mark.parametrize("bar", [0, 59, 70, 79, 140])
def test_thermo_xml(tagged, raw, code, bar):
    read = read_micrograph(tagged({code: raw + b"\0"}, bar))
    known = FULL | {"beam_energy": 30, "working_distance": 16.5}
    checked(read, known, vendor="Thermo Fisher", instrument="Aquilos 2", detector="ICE", beam="ion")
    assert read.data_bar == bar


def test_thermo_memento_gives_the_pixel_size(tagged):
    checked(read_micrograph(tagged({34680: base64.b64encode(MEMENTO.encode())})), {})


def test_phenom(tagged):
    read = read_micrograph(tagged({34683: PHENOM}, 64))
    checked(read, {}, instrument="Phenom", detector="BSD")
    assert (read.data_bar, read.pixels.shape) == (64, (160, 192))


@pytest.mark.parametrize("size", ["100.0 nm", "0.1 \u00b5m", "100000 pm"])
def test_zeiss(tagged, size):
    read = read_micrograph(tagged({34118: ZEISS.format(size)}))
    known = STAGED | {"field_width": 19200, "beam_energy": 2, "working_distance": 4, "dwell": 0.1}
    checked(read, known, vendor="Zeiss", detector="SE2")


def test_the_older_zeiss_pixel_is_one_of_a_screen_of_1024_columns(tagged):
    text = ZEISS.format("").replace("AP_IMAGE_PIXEL_SIZE", "AP_PIXEL_SIZE").replace("Size = ", "Size = 18.75 nm")
    checked(read_micrograph(tagged({34118: text})), {})  # 18.75 * 1024 / 192


@pytest.mark.parametrize("tree", [OLD_FIBSEM, NEW_FIBSEM], ids=["old", "new"])
def test_fibsem(tagged, tree):
    read = read_micrograph(tagged({}, description=json.dumps(tree)))
    ion = tree is NEW_FIBSEM
    words = {"vendor": "OpenFIBSEM", "beam": "ion" if ion else "electron", "detector": "ICE" if ion else "ETD"}
    checked(read, FULL | {"beam_energy": 2, "working_distance": 4}, **words)


@pytest.mark.parametrize("unit", ["nm", "µm", "Å", "mm"])
def test_ome(tmp_path, unit):
    size = {"nm": 100, "µm": 0.1, "Å": 1000, "mm": 1e-4}[unit]
    sizes = {"PhysicalSizeX": size, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 0.1, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((16, 16), np.uint8), metadata={"axes": "YX", **sizes})
    assert read_micrograph(tmp_path / "a.ome.tif").pixel_size == pytest.approx(100)


@pytest.mark.parametrize(
    ("pixel", "words"),
    [
        ("1", ["tag 34682 Scan.PixelWidth", "is 1 m"]),
        ("1e-13", ["1e-13"]),
        ("-1e-7", ["-1e-7"]),
        ("nan", ["nan"]),
        ("wide", ["wide"]),
        ("0", ["is 0 m"]),
    ],
)
def test_an_absurd_pixel_size_is_refused(tagged, thermo, pixel, words):
    path = tagged({34682: thermo(pixel=pixel).replace("VerFieldsize", "x")})
    with pytest.raises(ImageError) as error:
        read_micrograph(path)
    assert all(word in str(error.value) for word in [*words, path.name, "--pixel-size"]), str(error.value)
    assert read_micrograph(path, pixel_size=80).pixel_size == 80


@pytest.mark.parametrize(
    ("tags", "options", "words"),
    [
        ({34118: ZEISS.format("35 furlong")}, {}, ["AP_IMAGE_PIXEL_SIZE", "35 furlong"]),
        ({34683: XML.replace('unit="m"', 'unit="s"')}, {}, ["PixelSize.X", "1E-07 s"]),
        ({34683: XML.replace('m" unitPrefixPower="1">1E-07</Y>', 'm">1.1E-07</Y>')}, {}, ["1.1E-07", "square"]),
        ({34683: XML.replace("<X>192</X>", "<X>384</X>")}, {}, ["384", "192", "resized"]),
        ({34118: ZEISS.format("50 nm")}, {"description": json.dumps(OLD_FIBSEM)}, ["50 nm", "1e-07 m"]),
        ({}, {"description": json.dumps({"pixel_size": {"x": 1.0, "y": 1.0}})}, ["fibsem pixel_size", "1 m"]),
    ],
)
def test_wrong_units_sides_and_contradictions_are_refused(tagged, tags, options, words):
    path = tagged(tags, **options)
    with pytest.raises(ImageError) as error:
        read_micrograph(path)
    assert all(word in str(error.value) for word in [*words, path.name]), str(error.value)
    assert read_micrograph(path, pixel_size=80).pixel_size == 80


@pytest.mark.parametrize(
    "text", ["", "[", "<", "<a><b></a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "AAAA", "{", "\x00\xff"]
)
@pytest.mark.parametrize("code", [34680, 34682, 34683, 34118])
def test_damaged_metadata_says_nothing(tagged, text, code):
    read = read_micrograph(tagged({code: text.encode("latin-1") + b"\0"}, description=text if text.isascii() else ""))
    assert read.pixels.shape == (160, 192)
    assert read.pixel_size is None


def test_a_stated_pixel_size_is_not_overruled(tagged, thermo):
    path = tagged({34682: thermo()})
    assert read_micrograph(path, pixel_size=100.5).pixel_size == 100.5
    with pytest.raises(ImageError, match=r"100 nm, but --pixel-size says 102"):
        read_micrograph(path, pixel_size=102)


@pytest.mark.parametrize("unit", [2, 3])
def test_dpi_is_no_pixel_size(tagged, unit):
    assert read_micrograph(tagged({}, resolution=(96, 96), resolutionunit=unit)).pixel_size is None
