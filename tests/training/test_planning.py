import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.data.patches import patch_side
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training.planning import CALIBRATION, LOADING, Timing, plan


def cost(config, timing, images):
    steps = -(-config.data.patches_per_image * images // config.training.batch_size)
    return config.training.epochs * (steps * timing.step + timing.validation + timing.saving)


@pytest.mark.parametrize("seconds", [30, 60, 600, 36000])
@pytest.mark.parametrize("timing", [Timing(0.01, 0.1, 0.1), Timing(0.5, 5.0, 0.5), Timing(2.0, 1.0, 3.0)])
@pytest.mark.parametrize("calibrate", [True, False])
def test_the_epochs_fit_and_fill_the_time(seconds, timing, calibrate):
    asked = Config().replace({"training.calibrate": calibrate})
    config, line = plan(asked, timing, seconds, 24)
    assert line.startswith(f"epochs: {config.training.epochs} of {24 * config.data.patches_per_image} patches")
    seconds -= (CALIBRATION * timing.validation + LOADING) * calibrate
    total = cost(config, timing, 24)
    if config.training.epochs > 1:
        assert total <= seconds
        assert total > seconds * (1 - 1 / config.training.epochs) - 1e-9
    assert config.data.patches_per_image >= 1


def test_short_times_make_short_epochs():
    timing = Timing(0.5, 1.0, 0.1)
    assert plan(Config(), timing, 300, 24)[0].data.patches_per_image < 10
    assert plan(Config(), timing, 30000, 24)[0].data.patches_per_image == 10


def test_no_room_for_a_step_is_an_error():
    with pytest.raises(ConfigError, match="no epoch fits"):
        plan(Config(), Timing(5.0, 1.0, 0.5), 3, 24)


@pytest.mark.parametrize(
    ("sides", "across", "expected"),
    [
        ([512], 20, 128),  # no less than 128
        ([512], 40, 160),  # four objects
        ([512], 43, 176),  # to a multiple of the stride
        ([1024, 2048], 300, 256),  # no more than 256
        ([81], 20, 96),  # a small image whole
        ([40, 40, 200], 5, 48),
    ],
)
def test_the_patch_has_room_for_four_objects(sides, across, expected):
    assert patch_side(sides, 16, across) == expected
