"""Each runtime answers as the trained model does, whatever way an image is put to it."""

import numpy as np
import pytest
from scipy import ndimage

from cryoseg_tf import Micrograph, Segmenter
from cryoseg_tf.config import ModelConfig
from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports import Bundle
from cryoseg_tf.exports.runtimes import RUNTIMES, Runtime, segmenter
from cryoseg_tf.models.registry import build_model

CPU = ("saved_model", "onnx", "tflite", "openvino")


def agrees(bundle, mask, probability, golden, expected):
    """The rule of the manifest: near everywhere, and another mask only where the decision is as near."""
    tolerance, threshold = bundle.manifest.tolerances.probability, bundle.manifest.contract.threshold
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, expected, rtol=0, atol=tolerance)
    clear = np.abs(expected[..., 0] - threshold) > tolerance
    np.testing.assert_array_equal(mask[clear], golden[clear])


def read(bundle, case):
    return (np.load(bundle.path / name) for name in (case.image, case.mask, case.probability))


@pytest.mark.parametrize("name", CPU)
def test_golden_images(bundle, name):
    one, whole = segmenter(bundle, name, threads=2), RUNTIMES[name].whole(bundle, 2)
    for case in bundle.manifest.golden:
        image, golden, expected = read(bundle, case)
        result = one.segment(Micrograph(image, case.pixel_size or None), probabilities=True)
        assert result.status == case.status, case.name
        agrees(bundle, result.mask, result.probabilities, golden, expected)
        answer = whole(image, case.pixel_size)
        assert answer.status == case.status, case.name
        agrees(bundle, answer.mask, answer.probability, golden, expected)


@pytest.mark.parametrize("name", CPU)
def test_tiles_give_what_the_trained_model_gives_untiled(bundle, trained, name):
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(120, 60, (170, 230)), 2).astype(np.float32)
    smallest = 3 * bundle.manifest.network.halo
    assert smallest < 150, "the image would not be tiled"
    expected = Segmenter.from_run(trained, tile=None).segment(Micrograph(image), probabilities=True)
    predictor = RUNTIMES[name].predictor(bundle)
    result = Segmenter(predictor, bundle.manifest.contract, tile=smallest).segment(Micrograph(image), True)
    agrees(bundle, result.mask, result.probabilities, expected.mask, expected.probabilities)


@pytest.mark.parametrize("name", CPU)
def test_batches_come_back_in_order_whatever_their_sizes(bundle, name):
    random = np.random.default_rng(0)
    batches = [
        random.normal(size=(n, h, w, 1)).astype(np.float32) for n, h, w in [(1, 64, 32), (3, 16, 48), (1, 64, 32)]
    ]
    for precision in bundle.precisions(name):
        predictor = RUNTIMES[name].predictor(bundle, precision)
        results = list(predictor.map(iter(batches)))
        assert [r.shape for r in results] == [b.shape for b in batches]
        assert all(r.dtype == np.float32 and r.min() >= 0 and r.max() <= 1 for r in results)
        for batch, result in zip(batches, results, strict=True):
            # kept results do not change under the next batch, and an image does not depend on its neighbours
            alone = [next(iter(predictor.map([image[None]]))) for image in batch]
            np.testing.assert_allclose(result, np.concatenate(alone), atol=1e-4)


def test_logits_of_several_classes_become_their_probabilities(bundle, tmp_path):
    from cryoseg_tf.exports.tflite import write_network

    model = build_model(ModelConfig(base_filters=4, depth=2), 3)
    write_network(model, tmp_path / "model.tflite", "float32")
    network = bundle.manifest.network.model_copy(update={"channels": 3})
    formats = {"tflite": {"float32": "model.tflite"}}
    manifest = bundle.manifest.model_copy(update={"network": network, "formats": formats})
    tile = np.random.default_rng(0).normal(size=(2, 32, 48, 1)).astype(np.float32)
    (result,) = RUNTIMES["tflite"].predictor(Bundle(tmp_path, manifest)).map([tile])
    np.testing.assert_allclose(result, model(tile, training=False), atol=1e-5)
    np.testing.assert_allclose(result.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", CPU)
def test_a_file_cut_short_is_one_line(bundle, tmp_path, name):
    source = bundle.file(name, "float32")
    copy = tmp_path / bundle.manifest.formats[name]["float32"]
    if source.is_dir():
        source, copy = source / "saved_model.pb", copy / "saved_model.pb"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(ExportError, match="cannot be loaded: ") as caught:
        RUNTIMES[name].predictor(Bundle(tmp_path, bundle.manifest))
    assert len(str(caught.value).splitlines()) == 1


def test_what_cannot_be_had_names_the_remedy(bundle):
    with pytest.raises(ExportError, match="holds no float16 as openvino"):
        segmenter(bundle, "openvino", "float16")
    with pytest.raises(ExportError, match="holds no caffe, only"):
        bundle.file("caffe", "float32")
    with pytest.raises(ExportError, match=r"needs no-such-package: pip install 'cryoseg-tf\[extra\]'"):
        Runtime("onnx", ("no-such-package",), "extra").predictor(bundle)
