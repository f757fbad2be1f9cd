import numpy as np
import pytest

from cryoseg_tf import Micrograph, Run, Segmenter
from cryoseg_tf.config import Contract, ModelConfig
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.segmentation.keras_predictor import KerasPredictor

CONFIG = ModelConfig(base_filters=2, depth=2)
CONTRACT = Contract(classes=("background", "cell"))


@pytest.fixture(scope="module")
def predictor():
    return KerasPredictor(build_model(CONFIG), CONFIG)


def random(shape, dtype=np.uint16):
    return Micrograph(np.random.default_rng(0).integers(0, 250, shape).astype(dtype))


@pytest.mark.parametrize("shape", [(64, 64), (65, 230), (9, 400), (301, 299)])
@pytest.mark.parametrize("scale", ["none", "pixel_size"])
def test_tiled_equals_whole(predictor, shape, scale):
    contract = CONTRACT
    if scale == "pixel_size":
        contract = Contract(**{**CONTRACT.model_dump(), "scale": scale, "pixel_size": 8.0, "pixel_size_range": (1, 99)})
    image = Micrograph(random(shape).pixels, 10.0)
    whole = Segmenter(predictor, contract, tile=None).segment(image, probabilities=True)
    tiled = Segmenter(predictor, contract, tile=96).segment(image, probabilities=True)
    assert whole.probabilities.shape == (*shape, 1)
    assert np.ptp(whole.probabilities) > 0.01
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_several_tiles_at_a_time_give_the_same(predictor):
    several = KerasPredictor(build_model(CONFIG), CONFIG)
    several.batch = 4  # of more tiles than that, and not a multiple
    image = random((301, 299))
    one, four = (Segmenter(p, CONTRACT, tile=96).segment(image, probabilities=True) for p in (predictor, several))
    np.testing.assert_allclose(four.probabilities, one.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    "option",
    [
        {"kernel_size": 5},
        {"dilation": 2},
        {"upsampling": "bilinear"},
        {"residual": True},
        {"normalisation": "none", "activation": "swish"},
        {"upsampling": "bilinear", "dilation": 2, "residual": True, "activation": "hard_swish"},
    ],
    ids=str,
)
def test_tiled_equals_whole_with_each_option(option):
    config = ModelConfig(**{**CONFIG.model_dump(), "base_filters": 4, **option})
    predictor = KerasPredictor(build_model(config), config)
    image = random((65, 333))
    whole = Segmenter(predictor, CONTRACT, tile=None).segment(image, probabilities=True).probabilities
    tiled = Segmenter(predictor, CONTRACT, tile=96).segment(image, probabilities=True).probabilities
    assert np.ptp(whole) > 0.01
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@pytest.mark.parametrize("option", [{"normalisation": "group"}, {"squeeze_excitation": True}], ids=str)
def test_a_network_that_sees_the_whole_image_is_not_tiled(option):
    config = ModelConfig(base_filters=8, depth=2, **option)
    predictor = KerasPredictor(build_model(config), config)
    image = Micrograph(random((65, 333)).pixels * np.arange(333, dtype=np.uint16))  # brighter to the right
    whole, asked = (Segmenter(predictor, CONTRACT, tile).segment(image, True).probabilities for tile in (None, 96))
    np.testing.assert_array_equal(asked, whole)
    predictor.halo = 32  # what tiles would have made of it
    tiled = Segmenter(predictor, CONTRACT, tile=96).segment(image, True).probabilities
    assert np.abs(tiled - whole).max() > 1e-4


def test_a_shift_by_the_stride_shifts_the_probabilities(predictor):
    # two values alone: the percentiles, and so the normalisation, stay when rows are added
    pixels = np.random.default_rng(0).choice(np.array([10, 200], np.uint8), (160, 160))
    moved = np.pad(pixels, ((4, 0), (8, 0)), mode="edge")
    before, after = (
        Segmenter(predictor, CONTRACT).segment(Micrograph(p), probabilities=True).probabilities for p in (pixels, moved)
    )
    halo = predictor.halo
    np.testing.assert_allclose(after[4 + halo :, 8 + halo :], before[halo:, halo:], atol=1e-5)


def test_gain_and_offset_change_no_mask(trained):
    segmenter = Segmenter.from_run(trained)
    pixels = random((80, 90), np.float32).pixels
    first = segmenter.segment(Micrograph(pixels), probabilities=True)
    second = segmenter.segment(Micrograph(pixels * 8 + 64), probabilities=True)  # exact in float32
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_the_bit_depth_changes_no_mask(trained, dtype):
    segmenter = Segmenter.from_run(trained)
    pixels = random((80, 90), np.uint8).pixels
    expected = segmenter.segment(Micrograph(pixels)).mask
    np.testing.assert_array_equal(segmenter.segment(Micrograph(pixels.astype(dtype))).mask, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (7, 7), (8, 8), (17, 400)])
def test_any_size_gives_a_mask_or_a_status(predictor, shape):
    result = Segmenter(predictor, CONTRACT).segment(random(shape))
    assert result.mask.shape == shape
    assert (result.status == Status.TOO_SMALL) == (min(shape) < 8)
    if result.status == Status.TOO_SMALL:
        assert not result.mask.any()


def test_statuses(predictor):
    sized = Contract(**{**CONTRACT.model_dump(), "scale": "pixel_size", "pixel_size": 8.0, "pixel_size_range": (4, 16)})
    pixels = random((40, 40), np.float32).pixels
    broken = pixels.copy()
    broken[3, 3] = np.inf
    cases = [
        (CONTRACT, pixels, None, Status.OK),
        (CONTRACT, broken, None, Status.NOT_FINITE),
        (CONTRACT, pixels * 0, None, Status.LOW_CONTRAST),
        (sized, pixels, None, Status.PIXEL_SIZE_UNKNOWN),
        (sized, pixels, 17.0, Status.PIXEL_SIZE_OUT_OF_RANGE),
        (sized, pixels, 16.0, Status.OK),
    ]
    for contract, values, pixel_size, expected in cases:
        assert Segmenter(predictor, contract).segment(Micrograph(values, pixel_size)).status == expected


def test_a_pixel_size_that_the_model_is_not_for_is_said_with_those_that_it_is_for(predictor, caplog):
    sized = Contract(**{**CONTRACT.model_dump(), "scale": "pixel_size", "pixel_size": 8.0, "pixel_size_range": (4, 16)})
    segmenter, pixels = Segmenter(predictor, sized), random((40, 40)).pixels
    segmenter.check(Micrograph(pixels, 16.0))
    assert not caplog.text
    segmenter.check(Micrograph(pixels, 0.1))
    assert "has pixels of 0.1 nm, and this model is for 4 to 16 nm" in caplog.text


def test_a_run_segments_what_it_learnt(trained, tmp_path, make_pairs):
    from PIL import Image

    data = make_pairs(tmp_path, 1, (96, 120), first=50)
    truth = np.asarray(Image.open(data / "masks" / "x50.png"))
    from cryoseg_tf import read_micrograph

    mask = Segmenter.from_run(trained).segment(read_micrograph(data / "images" / "x50.png")).mask
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert dice > 0.6
    assert Run(trained).info.validation_dice > 0.6
