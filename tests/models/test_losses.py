import keras
import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE, TrainingConfig
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.models.losses import KNOWN, build_loss, signed_distances
from cryoseg_tf.models.metrics import MeanDice, decide

REGION = ["dice", "jaccard", "tversky", "focal_tversky"]


def one(*rows):
    return np.array(rows, np.float32)[..., None]


def loss(text, truth, found, weights=None):
    return build_loss(text, weights)(truth, tf.constant(found)).numpy()


def some(channels, shape=(2, 6, 5)):
    """Truth with every class and ignored pixels, and probabilities."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, max(2, channels), (*shape, 1)).astype(np.uint8)
    truth[:, 1, 1:3] = IGNORE
    found = draw.uniform(0.05, 1, (*shape, channels)).astype(np.float32)
    return truth, found if channels == 1 else found / found.sum(-1, keepdims=True)


def weights(channels):
    return (1.0, 3.0, 2.0)[: max(2, channels)]


def gradient(text, truth, found):
    found = tf.constant(found)
    with tf.GradientTape() as tape:
        tape.watch(found)
        value = build_loss(text, weights(found.shape[-1]))(truth, found)
    return tape.gradient(value, found).numpy()


every_loss = pytest.mark.parametrize("name", sorted(KNOWN))
every_head = pytest.mark.parametrize("channels", [1, 3])


# ---- by hand


def test_dice_by_hand():
    truth = one([[1, 1], [0, 0]], [[0, 0], [0, 0]])
    found = one([[0.5, 1], [0.25, 0]], [[0, 0], [0, 1]])
    # 1 - (2 * 1.5 + 1) / (2 + 1.75 + 1), 1 - (0 + 1) / (0 + 1 + 1)
    np.testing.assert_allclose(loss("dice", truth, found), [1 - 4 / 4.75, 0.5], rtol=1e-6)
    np.testing.assert_allclose(loss("dice(smooth=0.5)", truth, found), [1 - 3.5 / 4.25, 2 / 3], rtol=1e-6)


def test_pooled_sums_over_the_batch():
    truth = one([[1, 1], [0, 0]], [[0, 0], [0, 0]])
    found = one([[0.5, 1], [0.25, 0]], [[0, 0], [0, 1]])
    np.testing.assert_allclose(loss("dice(pooled=true)", truth, found), [1 - 4 / 5.75] * 2, rtol=1e-6)
    whole = loss("jaccard", truth.reshape(1, 4, 2, 1), found.reshape(1, 4, 2, 1))
    np.testing.assert_allclose(loss("jaccard(pooled=True)", truth, found), [whole[0]] * 2, rtol=1e-6)


def test_dice_of_more_classes_is_averaged():
    truth = one([[0, 2]])
    found = np.array([[[[1, 0, 0], [0, 0, 1]]]], np.float32)
    np.testing.assert_allclose(loss("dice", truth, found), [0], atol=1e-6)
    # classes 0 and 2: (0 + 1) / (1 + 1 + 1); class 1 is not there
    np.testing.assert_allclose(loss("dice", truth, found[..., ::-1]), [1 - 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("name", ["dice", "jaccard", "focal_tversky"])
def test_a_class_that_an_image_does_not_hold_leaves_its_mean(name):
    truth = one([[0, 1]])
    two, three = np.array([[[[0.7, 0.3], [0.4, 0.6]]]], np.float32), np.zeros((1, 1, 2, 3), np.float32)
    three[..., :2] = two
    np.testing.assert_allclose(loss(name, truth, three), loss(name, truth, two), rtol=1e-6)


def test_tversky_by_hand():
    # TP 1.5, FP 0.25, FN 0.5
    truth, found = one([[1, 1], [0, 0]]), one([[0.5, 1], [0.25, 0]])
    index = (2 * 1.5 + 1) / (2 * 1.5 + 2 * 0.2 * 0.25 + 2 * 0.9 * 0.5 + 1)
    np.testing.assert_allclose(loss("tversky(alpha=0.2, beta=0.9)", truth, found), [1 - index], rtol=1e-6)
    focal = loss("focal_tversky(alpha=0.2, beta=0.9, gamma=2)", truth, found)
    np.testing.assert_allclose(focal, [(1 - index) ** 2], rtol=1e-5)


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_alpha_weighs_false_positives_and_beta_false_negatives(name):
    truth = one([[1, 1, 0, 0]])
    too_much, too_little = one([[1, 1, 1, 0]]), one([[1, 0, 0, 0]])
    for found, heavier in ((too_much, "alpha"), (too_little, "beta")):
        plain, heavy = (loss(f"{name}({heavier}={value})", truth, found) for value in (0.2, 0.9))
        assert heavy > plain
        other = {"alpha": "beta", "beta": "alpha"}[heavier]
        same = [loss(f"{name}({other}={value})", truth, found) for value in (0.2, 0.9)]
        np.testing.assert_allclose(same[0], same[1], rtol=1e-6)


@every_head
def test_tversky_of_halves_is_dice_and_of_ones_jaccard(channels):
    pair = some(channels)
    np.testing.assert_array_equal(loss("tversky", *pair), loss("dice", *pair))
    np.testing.assert_array_equal(loss("tversky(alpha=1, beta=1)", *pair), loss("jaccard", *pair))
    exponent_1 = loss("focal_tversky(alpha=0.5, beta=0.5, gamma=1)", *pair)
    np.testing.assert_allclose(exponent_1, loss("dice", *pair), rtol=1e-6)


def test_jaccard_follows_from_dice():
    pair = some(1)
    coefficient = 1 - loss("dice", *pair)
    np.testing.assert_allclose(1 - loss("jaccard", *pair), coefficient / (2 - coefficient), rtol=1e-6)


# probabilities of the right class: 0.8 (class 1), 0.4 (class 0)
ONE_CHANNEL = one([[1, 0]]), one([[0.8, 0.6]])
THREE_CHANNELS = one([[1, 0]]), np.array([[[[0.1, 0.8, 0.1], [0.4, 0.5, 0.1]]]], np.float32)


@pytest.mark.parametrize("pair", [ONE_CHANNEL, THREE_CHANNELS], ids=["1", "3"])
def test_cross_entropies_by_hand(pair):
    right = np.array([0.8, 0.4])
    np.testing.assert_allclose(loss("bce", *pair), [-np.log(right).mean()], rtol=1e-5)
    np.testing.assert_allclose(loss("focal", *pair), [(-np.log(right) * (1 - right) ** 2).mean()], rtol=1e-5)
    np.testing.assert_allclose(loss("focal(gamma=1)", *pair), [(-np.log(right) * (1 - right)).mean()], rtol=1e-5)
    class_weights = weights(pair[1].shape[-1])  # class 0: 1, class 1: 3
    expected = (-np.log(right) * [3, 1]).sum() / 4
    np.testing.assert_allclose(loss("weighted_bce", *pair, class_weights), [expected], rtol=1e-5)


def test_absolute_and_squared_error_by_hand():
    np.testing.assert_allclose(loss("mae", *ONE_CHANNEL), [0.4], rtol=1e-6)
    np.testing.assert_allclose(loss("mse", *ONE_CHANNEL), [0.2], rtol=1e-6)
    np.testing.assert_allclose(loss("mae", *THREE_CHANNELS), [(0.4 + 1.2) / 6], rtol=1e-6)
    np.testing.assert_allclose(loss("mse", *THREE_CHANNELS), [(0.06 + 0.62) / 6], rtol=1e-6)


@every_loss
def test_the_settings_know_which_losses_weigh_classes(name):
    pair = some(1)
    equal, unequal = (loss(name, *pair, given) for given in ((1.0, 1.0), (1.0, 4.0)))
    assert TrainingConfig(loss=f"mae + {name}").weighs_classes == (equal != unequal).any()


def test_class_weights_keep_the_scale():
    pair = some(3)
    same = loss("weighted_bce", *pair, (7.0, 7.0, 7.0))
    np.testing.assert_allclose(same, loss("bce", *pair), rtol=1e-6)
    background = np.zeros_like(pair[0])
    one_class = loss("weighted_bce", background, pair[1], (0.2, 5.0, 9.0))
    np.testing.assert_allclose(one_class, loss("bce", background, pair[1]), rtol=1e-6)


def test_boundary_by_hand():
    truth, found = one([[0, 0, 1, 1]]), one([[0.5, 0, 0.75, 1]])
    distances = [1.5, 0.5, -0.5, -1.5]  # the contour is half-way; the unit is sqrt(4)
    np.testing.assert_allclose(signed_distances(truth[..., 0], 1)[0, 0, :, 0], np.array(distances) / 2)
    np.testing.assert_allclose(loss("boundary", truth, found), [(1.5 * 0.5 + 0.5 * 0.25) / 2 / 4])


def test_boundary_of_each_class():
    truth = one([[0, 1, 2]])
    distances = signed_distances(truth[..., 0], 3)[0, 0] * np.sqrt(3)
    np.testing.assert_allclose(distances, [[-0.5, 0.5, 1.5], [0.5, -0.5, 0.5], [1.5, 0.5, -0.5]], rtol=1e-6)


def test_boundary_does_not_depend_on_the_scale():
    truth, found = one([[0, 0, 1, 1]] * 4), one([[0.5, 0.3, 0.75, 0.9]] * 4)
    twice = [x.repeat(2, axis=1).repeat(2, axis=2) for x in (truth, found)]
    np.testing.assert_allclose(loss("boundary", *twice), loss("boundary", truth, found), rtol=1e-5)


@pytest.mark.parametrize("only", [0, 1])
def test_boundary_without_a_contour_is_zero(only):
    truth = one([[only, only, IGNORE]])
    np.testing.assert_array_equal(loss("boundary", truth, one([[0.2, 0.9, 0.5]])), [0])
    np.testing.assert_array_equal(signed_distances(truth[..., 0], 3), np.zeros((1, 1, 3, 3)))


def test_a_sum_weighs_its_terms():
    pair = some(3)
    expected = loss("dice", *pair) + 0.5 * loss("bce", *pair) + 2 * loss("mae", *pair)
    np.testing.assert_allclose(loss("dice + 0.5*bce + 2*mae", *pair), expected, rtol=1e-6)


# ---- of every loss


@every_loss
@every_head
def test_ignored_pixels_change_nothing(name, channels):
    truth, found = some(channels)
    draw = np.random.default_rng(1)
    wide_truth = np.pad(truth, ((0, 0), (2, 1), (0, 4), (0, 0)), constant_values=IGNORE)
    wide_found = draw.dirichlet([1] * max(2, channels), wide_truth.shape[:3]).astype(np.float32)[..., :channels]
    wide_found[:, 2:-1, :-4] = found
    before = loss(name, truth, found, weights(channels))
    np.testing.assert_allclose(loss(name, wide_truth, wide_found, weights(channels)), before, rtol=1e-5)
    assert not gradient(name, wide_truth, wide_found)[wide_truth[..., 0] == IGNORE].any()


@every_loss
@every_head
@pytest.mark.parametrize("value", [0, IGNORE])
def test_empty_truth_is_finite(name, channels, value):
    _, found = some(channels)
    truth = np.full((*found.shape[:3], 1), value, np.uint8)
    values, slopes = loss(name, truth, found, weights(channels)), gradient(name, truth, found)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    if value == IGNORE:
        np.testing.assert_allclose(values, 0, atol=1e-5)
        assert not slopes.any()


@pytest.mark.parametrize("name", REGION)
def test_an_image_without_foreground_teaches(name):
    slopes = gradient(name, one([[0, 0]]), one([[0.3, 0.6]]))
    assert (slopes > 0.05).all()


@every_loss
@every_head
def test_saturated_probabilities_give_finite_gradients(name, channels):
    truth = one([[0, 1, 1, IGNORE]], [[1, 1, 0, 0]])
    right = np.eye(3, dtype=np.float32)[np.where(truth == IGNORE, 0, truth)[..., 0].astype(int)]
    right = right if channels == 3 else right[..., 1:2]
    half_wrong = np.concatenate([right[:, :, :2], np.roll(right, 1, axis=-1)[:, :, 2:]], axis=2)
    half_wrong = half_wrong if channels == 3 else np.concatenate([right[:, :, :2], 1 - right[:, :, 2:]], axis=2)
    for found in (right, half_wrong):
        assert np.isfinite(loss(name, truth, found, weights(channels))).all()
        assert np.isfinite(gradient(name, truth, found)).all()
    np.testing.assert_allclose(loss(name, truth, right, weights(channels)), 0, atol=1e-5)


@every_loss
@every_head
def test_better_is_less_and_following_the_gradient_helps(name, channels):
    truth, found = some(channels)
    before = loss(name, truth, found, weights(channels))
    logits = np.log(found) if channels == 3 else np.log(found / (1 - found))
    activation = tf.nn.softmax if channels == 3 else tf.nn.sigmoid
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = build_loss(name, weights(channels))(truth, activation(logits))
    after = loss(name, truth, activation(logits - tape.gradient(value, logits)).numpy(), weights(channels))
    assert (after < before).all()


@every_loss
@every_head
def test_in_a_graph_with_free_shapes(name, channels):
    truth, found = some(channels)
    graph = tf.function(
        build_loss(name, weights(channels)),
        input_signature=[
            tf.TensorSpec((None, None, None, 1), tf.uint8),
            tf.TensorSpec((None, None, None, channels), tf.float32),
        ],
    )
    result = graph(truth, found)
    assert result.shape.rank == 1
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, loss(name, truth, found, weights(channels)), rtol=1e-5)


@pytest.mark.parametrize("name", ["bce", "weighted_bce", "focal"])
@every_head
def test_a_pixel_that_is_surely_wrong_still_learns(name, channels):
    # the softmax or sigmoid is exactly 0 for the right class
    logits = tf.constant([-200.0] if channels == 1 else [200.0, 0, 0], shape=(1, 1, 1, channels))
    activation = keras.activations.sigmoid if channels == 1 else keras.activations.softmax
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = build_loss(name, weights(channels))(one([[1]]), activation(logits))
    foreground = tape.gradient(value, logits).numpy()[..., min(1, channels - 1)]
    assert foreground < -0.5


@every_head
def test_keras_trains_with_it(channels):
    keras.utils.set_random_seed(0)
    truth, found = some(channels, (4, 8, 8))
    model = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.Conv2D(channels, 1, activation="sigmoid" if channels == 1 else "softmax"),
        ]
    )
    model.compile("sgd", build_loss("dice + bce"), jit_compile=False)
    model.build((None, 8, 8, channels))
    expected = loss("dice + bce", truth, model.predict(found, verbose=0))
    before = [w.numpy() for w in model.trainable_variables]
    # the mean over images, of the weights before the step
    assert model.train_on_batch(found, truth) == pytest.approx(expected.mean(), rel=1e-5)
    assert all((w.numpy() != b).any() for w, b in zip(model.trainable_variables, before, strict=True))
    assert float(model.evaluate(found, truth, verbose=0)) < expected.mean()


# ---- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dise", "training.loss names 'dise': known are bce, boundary, dice, focal,"),
        ("dice + cross_entropy", "names 'cross_entropy'"),
        ("dice - bce", "training.loss is 'dice - bce': it must be a sum"),
        ("dice(gamma=2)", "dice has no option 'gamma': its options are pooled, smooth"),
        ("bce(alpha=1)", "bce has no option 'alpha': it takes none"),
        ("weighted_bce(class_weights=1)", "has no option 'class_weights': it takes none"),
        ("weighted_bce", "set training.class_weights"),
        ("dice(smooth=0)", "smooth is 0: it must be a number above 0"),
        ("tversky(alpha=-1)", "tversky: alpha is -1"),
        ("tversky(beta='much')", "beta is 'much'"),
        ("focal_tversky(gamma=true)", "gamma is True"),
        ("focal(gamma=0.5)", "gamma is 0.5: it must be at least 1"),
        ("jaccard(pooled=1)", "pooled is 1: it must be true or false"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigError) as error:
        build_loss(text)
    assert message in str(error.value)


# ---- decisions and scores


def test_decide():
    np.testing.assert_array_equal(decide(one([[0.49, 0.5]]), 0.5), [[[0, 1]]])
    np.testing.assert_array_equal(decide(np.array([[0.2, 0.5, 0.3]]), 0.5), [1])


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([[1, 1, 0, 0]], [[0.9, 0.1, 0.9, 0.1]], 0.5),  # 2 * 1 / (2 + 2)
        ([[0, 0, 0, 0]], [[0.1, 0.1, 0.1, 0.1]], 1.0),  # nothing to score
        ([[0, 0, 0, 0]], [[0.9, 0.1, 0.1, 0.1]], 0.0),
        ([[1, IGNORE, 0, 0]], [[0.9, 0.9, 0.1, 0.1]], 1.0),
    ],
)
def test_mean_dice_by_hand(truth, found, expected):
    metric = MeanDice()
    metric.update_state(one(truth), one(found))
    assert float(metric.result()) == pytest.approx(expected)


def test_empty_images_leave_the_mean():
    metric = MeanDice()
    metric.update_state(one([[1, 0]], [[0, 0]]), one([[0.9, 0.1]], [[0.1, 0.1]]))
    assert float(metric.result()) == pytest.approx(1.0)
    metric.update_state(one([[1, 0]]), one([[0.1, 0.1]]))
    assert float(metric.result()) == pytest.approx(0.5)
