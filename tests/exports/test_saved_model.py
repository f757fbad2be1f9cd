"""The SavedModel, loaded by a process that has TensorFlow and nothing of ours."""

import subprocess
import sys

import numpy as np
import pytest

from cryoseg_tf import Micrograph, Run, Segmenter
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.exports import export
from cryoseg_tf.exports.graph import segment_function

HOST = """
import sys
sys.modules["cryoseg_tf"] = None  # an import of ours would fail
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
out = {}
for name, image in np.load(sys.argv[2]).items():
    signature, pixel_size = name.split("|")[0], float(name.split("|")[1])
    result = loaded.signatures[signature](image=tf.constant(image), pixel_size=tf.constant(pixel_size))
    out |= {f"{name}|{key}": value.numpy() for key, value in result.items()}
out["names"] = np.array(sorted(loaded.signatures))
np.savez(sys.argv[3], **out)
"""


@pytest.fixture(scope="module")
def answer(bundle, tmp_path_factory):
    """Call the exported model: ``answer({"signature|pixel size|name": images})``."""

    def call(images):
        folder = tmp_path_factory.mktemp("host")
        np.savez(folder / "in.npz", **images)
        model = bundle.path / "saved_model"
        subprocess.run([sys.executable, "-c", HOST, model, folder / "in.npz", folder / "out.npz"], check=True)
        return dict(np.load(folder / "out.npz"))

    return call


def random(shape, dtype, high=256):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def test_it_answers_as_the_model_does(answer, trained):
    segmenter = Segmenter.from_run(trained)
    shapes = [(64, 64), (65, 130), (8, 200), (333, 250)]
    images = {f"segment|0|{i}": random((1, *shape), np.float32, 65536) for i, shape in enumerate(shapes)}
    images |= {f"segment_uint16|0|{i}": random((1, *shape), np.uint16, 65536) for i, shape in enumerate(shapes)}
    images |= {f"segment_uint8|0|{i}": random((1, *shape), np.uint8) for i, shape in enumerate(shapes)}
    result = answer(images)
    for name, image in images.items():
        expected = segmenter.segment(Micrograph(image[0]), probabilities=True)
        np.testing.assert_array_equal(result[f"{name}|mask"][0], expected.mask)
        np.testing.assert_allclose(result[f"{name}|probability"][0], expected.probabilities, atol=2e-6)
        assert result[f"{name}|status"][0] == expected.status
        assert result[f"{name}|mask"].dtype == np.uint8


def test_signatures(answer):
    names = set(answer({"serving_default|0|x": random((1, 16, 16), np.float32)})["names"])
    assert {"segment", "segment_uint8", "segment_uint16", "serving_default"} <= names
    assert {"statistics", "resample", "probabilities"} <= names


def test_any_size_gives_a_mask_or_a_status(answer):
    shapes = [(1, 1), (1, 50), (7, 9), (8, 8), (17, 400)]
    result = answer({f"segment|0|{i}": random((2, *shape), np.float32) for i, shape in enumerate(shapes)})
    for i, shape in enumerate(shapes):
        assert result[f"segment|0|{i}|mask"].shape == (2, *shape)
        assert result[f"segment|0|{i}|probability"].shape == (2, *shape, 1)
        assert ((result[f"segment|0|{i}|status"] == 3) == (min(shape) < 8)).all()


def test_each_image_of_a_batch_has_its_own_status(answer):
    images = random((3, 32, 32), np.float32)
    images[1] = 7
    images[2, 0, 0] = np.nan
    result = answer({"segment|0|x": images, "segment|0|alone": images[:1]})
    assert result["segment|0|x|status"].tolist()[1:] == [4, 5]
    assert not result["segment|0|x|mask"][2].any()
    assert np.isfinite(result["segment|0|x|probability"]).all()
    np.testing.assert_array_equal(result["segment|0|x|mask"][0], result["segment|0|alone|mask"][0])


@pytest.mark.slow
def test_pixel_size_is_honoured(tmp_path, tiny, monkeypatch):
    from cryoseg_tf import Config, PhantomOptions, find_pairs, fit, split, write_phantom
    from cryoseg_tf.exports.verify import verify

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_phantom(tmp_path / "data", images=4, test=0, options=PhantomOptions(160, 300.0, ("cell",)))
    pairs = find_pairs(tmp_path / "data")
    config = Config().replace({**tiny, "data.pixel_size": 450.0})
    fit(config, split(pairs, config.data), tmp_path / "run")
    assert Run(tmp_path / "run").contract.scale == "pixel_size"
    bundle = export(tmp_path / "run", ["saved_model"], tmp_path / "m.cryoseg")
    for check in verify(bundle):
        assert check.passed, check.reason
        assert not check.differing_pixels
    import tensorflow as tf

    loaded = tf.saved_model.load(str(bundle.path / "saved_model"))
    segment, image = loaded.signatures["segment"], tf.constant(random((1, 40, 40), np.float32))
    status = [int(segment(image=image, pixel_size=tf.constant(size))["status"][0]) for size in (0.0, 1.0, 1e9)]
    assert status == [1, 2, 2]


@pytest.mark.parametrize("factor", [0.5, *(pytest.param(f, marks=pytest.mark.slow) for f in (1 / 3, 2.0))])
def test_images_that_are_shown_smaller_or_larger_come_back_at_their_size(trained, factor):
    contract = Run(trained).contract.model_copy(update={"scale": "factor", "factor": factor})
    segmenter = Segmenter(Segmenter.from_run(trained).predictor, contract)
    graph = segment_function(Run(trained).load_model(), contract, Run(trained).config.model.stride)
    for shape in ((64, 64), (65, 130), (10, 200)):
        image = random(shape, np.uint8)
        expected = segmenter.segment(Micrograph(image), probabilities=True)
        result = graph(image[None].astype(np.float32), 0.0)
        np.testing.assert_allclose(result["probability"][0], expected.probabilities, atol=2e-6)
        near = np.abs(expected.probabilities[..., 0] - contract.threshold) < 1e-5
        np.testing.assert_array_equal(result["mask"].numpy()[0][~near], expected.mask[~near])
        assert result["status"][0] == expected.status
    assert (result["status"][0] == Status.TOO_SMALL) == (factor < 0.8)  # 10 px become 5 or 3
