"""Mixed precision: what is computed in 16 bits, and what never is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf import Config, Run, find_pairs, fit, split
from cryoseg_tf.training import strategy
from cryoseg_tf.training.assembly import compiled
from cryoseg_tf.training.precision import choose_precision
from cryoseg_tf.training.state import load_state, save_state

LOSS = {"training.loss": "dice + 0.5*bce"}

BLOCKS = [
    {},
    {"model.normalisation": "group", "model.upsampling": "bilinear", "model.activation": "noisy_relu"},
    {"model.residual": True, "model.squeeze_excitation": True, "model.dropout": 0.2, "model.activation": "swish"},
    {"model.deep_supervision": True, "model.depth": 3},
]


def a_batch():
    rng = np.random.default_rng(0)
    return rng.random((2, 32, 32, 1), np.float32), rng.integers(0, 2, (2, 32, 32, 1)).astype(np.uint8)


def settings(precision):
    return Config().replace({"model.base_filters": 4, "model.depth": 2, "training.precision": precision, **LOSS})


@pytest.mark.parametrize("blocks", [BLOCKS[0], *(pytest.param(b, marks=pytest.mark.slow) for b in BLOCKS[1:])], ids=str)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_weights_and_probabilities_stay_float32(precision, blocks):
    network, model = compiled(settings(precision).replace(blocks))
    before = [v.numpy() for v in model.trainable_variables]
    assert np.isfinite(model.train_on_batch(*a_batch())[0])
    assert {v.dtype for v in network.variables if "seed" not in v.name} == {"float32"}
    assert network.output.dtype == "float32"
    kinds = {x.name: x.output.dtype for x in network.layers if isinstance(x, keras.layers.Conv2D)}
    assert {kinds.pop(name) for name in list(kinds) if name.startswith("logits")} == {"float32"}
    assert set(kinds.values()) == {precision}
    assert any(not np.array_equal(a, v.numpy()) for a, v in zip(before, model.trainable_variables, strict=True))


def test_layers_made_afterwards_are_float32_again():
    compiled(settings("bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_small_gradients_survive_float16(tmp_path):
    _, model = compiled(settings("float16"))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    scale = float(model.optimizer.dynamic_scale.numpy())
    assert scale > 1
    model.optimizer.dynamic_scale.assign(2 * scale)
    from cryoseg_tf.training.state import Progress

    save_state(tmp_path / "state.npz", model, Progress(epoch=3))
    _, other = compiled(settings("float16"))
    assert load_state(tmp_path / "state.npz", other).epoch == 3
    assert float(other.optimizer.dynamic_scale.numpy()) == 2 * scale


@pytest.mark.parametrize("precision", [pytest.param("bfloat16", marks=pytest.mark.slow), "float16"])
def test_a_run_is_used_in_float32(precision, tmp_path, data, tiny):
    config = Config().replace({**tiny, "training.precision": precision})
    fit(config, split(find_pairs(data), config.data), tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.config.training.precision == precision
    model = run.load_model()
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert np.isfinite(model(a_batch()[0]).numpy()).all()


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ("flags : fpu sse4_2 avx2", "float32"),
        ("flags : avx2 avx512f avx512_bf16", "bfloat16"),
        ("flags : amx_bf16 amx_tile", "bfloat16"),
    ],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU decides, not the processor")
def test_the_processor_decides(monkeypatch, tmp_path, flags, chosen):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(strategy, "CPUINFO", tmp_path / "cpuinfo")
    found, line = choose_precision("auto", 16)
    assert found == chosen
    assert line.startswith(f"precision: {chosen}; the processor has")
    assert choose_precision("float32", 16) == ("float32", "precision: float32, as set")
    assert choose_precision("auto", 48)[0] == chosen
    assert choose_precision("auto", 24)[0] == "float32"


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU decides, not the processor")
def test_what_may_be_slow_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(strategy, "CPUINFO", tmp_path / "none")
    assert "slower than float32" in choose_precision("bfloat16", 16)[1]
