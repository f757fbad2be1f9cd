"""One bundle with every format that runs on a CPU, shared by the tests; do not write to it."""

import pytest

from cryoseg_tf.exports import Bundle, export


@pytest.fixture(scope="session")
def bundle(trained, tmp_path_factory) -> Bundle:
    destination = tmp_path_factory.mktemp("export") / "model.cryoseg"
    return export(trained, ["saved_model", "onnx", "tflite", "openvino"], destination)
