"""Several networks as one: means, votes, and the eight views of test-time augmentation."""

import numpy as np
import pytest

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.models.ensemble import combined, turned
from cryoseg_tf.models.registry import build_model

KINDS = [
    {},
    {"upsampling": "bilinear"},
    {"residual": True, "squeeze_excitation": True, "normalisation": "group"},
    {"kernel_size": 5, "dilation": 2, "skip_connections": False},
]


def network(channels=1, seed=1, **settings):
    """An untrained network whose kernels and normalisation are nowhere symmetric."""
    model = build_model(ModelConfig(base_filters=3, depth=2, **settings), channels, seed)
    random = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * random.random(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def tile():
    return np.random.default_rng(0).normal(size=(1, 32, 48, 1)).astype(np.float32)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_eight_views_are_those_of_the_image_flipped_and_turned(settings, tile):
    model = network(**settings)
    expected = []
    for flip in (False, True):
        for quarters in range(4):
            seen = np.rot90(tile, -quarters, axes=(1, 2))
            given = model(seen[:, :, ::-1] if flip else seen).numpy()
            expected.append(np.rot90(given[:, :, ::-1] if flip else given, quarters, axes=(1, 2)))
    assert max(np.abs(a - b).max() for a in expected for b in expected) > 0.05  # else this shows nothing
    for one, wanted in zip(turned(model), expected, strict=True):
        np.testing.assert_allclose(one(tile), wanted, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_is_that_of_the_probabilities(channels, tile):
    members = [network(channels, seed) for seed in (1, 2, 3)]
    wanted = np.mean([member(tile) for member in members], axis=0)
    np.testing.assert_allclose(combined(members, "mean", [0.5] * 3)(tile), wanted, atol=1e-6)


def test_the_mean_is_right_where_networks_are_sure():
    members = [network(seed=seed) for seed in (1, 2)]
    for member, bias in zip(members, (60.0, -60.0), strict=True):
        kernel, _ = member.get_layer("logits").get_weights()
        member.get_layer("logits").set_weights([0 * kernel, np.array([bias], np.float32)])
    found = [combined(some, "mean", [0.5] * len(some))(np.zeros((1, 4, 4, 1)))[0, 0, 0, 0] for some in
             (members, members[:1], members[1:])]  # fmt: skip
    np.testing.assert_allclose(found, [0.5, 1, 0], atol=1e-6)


def test_a_vote_is_the_share_of_members_that_reach_their_thresholds(tile):
    members, thresholds = [network(seed=seed) for seed in (1, 2, 3)], (0.4, 0.5, 0.6)
    votes = [member(tile).numpy() >= t for member, t in zip(members, thresholds, strict=True)]
    assert len(np.unique(np.sum(votes, axis=0))) > 1
    np.testing.assert_allclose(combined(members, "vote", thresholds)(tile), np.mean(votes, axis=0), atol=1e-6)


def test_a_vote_of_classes_is_the_share_that_finds_each_most_probable(tile):
    members = [network(3, seed) for seed in (1, 2)]
    votes = [np.eye(3)[np.argmax(member(tile), axis=-1)] for member in members]
    np.testing.assert_allclose(combined(members, "vote", (0.5, 0.5))(tile), np.mean(votes, axis=0), atol=1e-6)
