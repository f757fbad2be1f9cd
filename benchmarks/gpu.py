"""What an NVIDIA GPU gives, all in one call: its matrix rate, training in Keras, and ONNX float16 in ONNX Runtime.

    pip install 'cryoseg-tf[gpu,export]' onnxruntime-gpu
    python benchmarks/gpu.py [--base 64] [--size 512] [--batch 8] [--steps 20] [--json FILE]

Images a second of ``--size`` pixels a side, and which share that is of the rate at which the same card multiplies
large matrices in the same precision: a network cannot be faster than that. A step of training counts as three
times the arithmetic of an image. Each part has a process of its own. What cannot be run is said, with the reason;
exit code 1 if that is everything. ``--device cpu`` runs the same on the processor, small: a test of this script.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

TRAINING = 3
"""The gradients of weights and of inputs are two convolutions more."""


PRODUCTS = 8
"""Of matrices, one after the other: starting and reading the result weigh little beside them."""


class CannotRunError(Exception):
    """Says why."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("base", 64), ("size", 512), ("batch", 8), ("steps", 20), ("matrix", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, *arguments = options.one.split(":")
        print(json.dumps(attempt(lambda: PARTS[name](options, *arguments))))
        return
    rows = [row(one) for one in parts()]
    report(rows, options)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), "utf-8")
    sys.exit(all("error" in row for row in rows))


def parts() -> list[str]:
    """Return the parts to run, each as its process is told of it."""
    matrix = [f"matrix:{precision}" for precision in ("float32", "float16", "bfloat16")]
    training = [f"training:{p}:{xla}" for p in ("float32", "float16", "bfloat16") for xla in ("plain", "xla")]
    return [*matrix, *training, "onnx:float32", "onnx:float16"]


def row(one: str) -> dict[str, object]:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", one]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"part": one, "error": f"its process stopped: {said}"}
    return {"part": one, **json.loads(lines[-1])}


def attempt(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    try:
        return work()
    except CannotRunError as error:
        return {"error": str(error)}
    except Exception as error:  # runtimes keep their kinds private
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def need_device(options: argparse.Namespace) -> str:
    """Return TensorFlow's name of what is to compute."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if options.device == "gpu" and not gpus:
        raise CannotRunError("TensorFlow sees no GPU here: pip install 'cryoseg-tf[gpu]', and nvidia-smi must list one")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return "/GPU:0" if options.device == "gpu" else "/CPU:0"


def matrix(options: argparse.Namespace, precision: str) -> dict[str, object]:
    """Multiply square matrices: TFLOP/s. float32 is what TensorFlow makes of it, TF32 on newer cards."""
    import tensorflow as tf

    device, side = need_device(options), options.matrix if options.device == "gpu" else 512
    with tf.device(device):
        # of norm 1 or so: a product of many stays finite
        a = tf.cast(tf.random.stateless_normal((side, side), (0, 1)) / side**0.5, precision)
        multiply = tf.function(lambda x: tf.reduce_sum(functools.reduce(tf.matmul, [x] + [a] * PRODUCTS)))
        seconds = timed(lambda: multiply(a).numpy(), options.steps)
    return {"tflops": PRODUCTS * 2 * side**3 / seconds / 1e12}


def training(options: argparse.Namespace, precision: str, xla: str) -> dict[str, object]:
    """Train on one batch that lies in memory: images a second."""
    device = need_device(options)
    import tensorflow as tf

    from cryoseg_tf.config import Config
    from cryoseg_tf.models.cost import flops
    from cryoseg_tf.training.assembly import compiled

    settings = {"model.base_filters": options.base, "training.precision": precision}
    network, model = compiled(Config().replace({**settings, "training.class_weights": (1.0, 1.0)}))
    model.jit_compile = xla == "xla"
    shape, rng = (options.batch, options.size, options.size, 1), np.random.default_rng(0)
    with tf.device(device):
        x, y = tf.constant(rng.random(shape, np.float32)), tf.constant(rng.integers(0, 2, shape, np.uint8))
    seconds = timed(lambda: model.train_on_batch(x, y), options.steps)
    done = TRAINING * options.batch * flops(network, options.size, options.size)
    return {"images": options.batch / seconds, "tflops": done / seconds / 1e12}


def onnx(options: argparse.Namespace, precision: str) -> dict[str, object]:
    """Run a network's ONNX with input and output in the card's memory: images a second."""
    import onnxruntime

    provider = "CUDAExecutionProvider" if options.device == "gpu" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise CannotRunError(f"this onnxruntime has no {provider}: pip install onnxruntime-gpu in place of onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        file, operations = written_onnx(Path(folder), options, precision)
        session = onnxruntime.InferenceSession(file, providers=[provider])
    if session.get_providers()[0] != provider:
        raise CannotRunError(f"{provider} could not start; its libraries (CUDA, cuDNN) may be missing or too old")
    binding, place = session.io_binding(), "cuda" if options.device == "gpu" else "cpu"
    tile = np.random.default_rng(0).random((options.batch, options.size, options.size, 1), np.float32)
    binding.bind_ortvalue_input("tile", onnxruntime.OrtValue.ortvalue_from_numpy(tile, place, 0))
    binding.bind_output("probability", place)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    seconds = timed(run, options.steps)
    return {"images": options.batch / seconds, "tflops": options.batch * operations / seconds / 1e12}


def written_onnx(folder: Path, options: argparse.Namespace, precision: str) -> tuple[Path, int]:
    """Write an untrained network, which takes the same time as a trained one; return its file and its arithmetic."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # TensorFlow would take the card's memory
    from cryoseg_tf.config import ModelConfig
    from cryoseg_tf.exports.onnx import write_float16, write_network
    from cryoseg_tf.models.cost import flops
    from cryoseg_tf.models.registry import build_model

    network = build_model(ModelConfig(base_filters=options.base))
    files = [folder / "float32.onnx", folder / "float16.onnx"]
    write_network(network, files[0], tiled=True, trace=64)
    write_float16(*files)
    return files[precision == "float16"], flops(network, options.size, options.size)


PARTS = {"matrix": matrix, "training": training, "onnx": onnx}


def timed(work: Callable[[], object], repeats: int) -> float:
    """Return the median of the seconds that work takes once it is warm."""
    for _ in range(3):
        work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def report(rows: list[dict[str, object]], options: argparse.Namespace) -> None:
    peaks = {row["part"].split(":")[1]: row["tflops"] for row in rows if "matrix" in row["part"] and "tflops" in row}
    print(f"base {options.base}, {options.size}x{options.size}, batches of {options.batch}, on the {options.device}")
    for row in rows:
        if "error" in row:
            print(f"{row['part']:24} NOT RUN: {row['error']}")
            continue
        images = f"{row['images']:9.2f} img/s" if "images" in row else " " * 15
        peak = peaks.get(row["part"].split(":")[1])
        share = f"   {row['tflops'] / peak:.0%} of the matrix rate" if "images" in row and peak else ""
        print(f"{row['part']:24} {images} {row['tflops']:8.3f} TFLOP/s{share}")


if __name__ == "__main__":
    main()
