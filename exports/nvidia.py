"""Which TensorRT is installed, and how it turns an ONNX file into an engine.

TensorRT builds for the GPU that is here. TensorRT RTX has the same API; it also builds ahead of time,
for named compute capabilities, on a machine without a GPU.
"""

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cryoseg_tf.config import Branch
from cryoseg_tf.errors import ExportError

from .gpu import Target, this_gpu

log = logging.getLogger("cryoseg_tf")

MODULES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT RTX"}
"""Where both are installed, the first is taken, for it is tuned to the GPU by measuring."""

TILE, PROBABILITY = "tile", "probability"
"""The network's input and output."""

Sizes = tuple[int, int, int, int]


class Profile(Branch):
    """The sizes ``(n, h, w, 1)`` of a batch of tiles that an engine takes, and those that it is tuned for."""

    minimum: Sizes
    optimum: Sizes
    maximum: Sizes


class Order(NamedTuple):
    """What is to be built.

    Attributes:
        profile: See ``Profile``.
        target: See ``Target``.
        threads: To build with; None: as TensorRT likes.
    """

    profile: Profile
    target: Target
    threads: int | None = None


class Built(NamedTuple):
    """An engine, and how many nodes of the ONNX file and layers of TensorRT it was made of."""

    plan: Any
    nodes: int
    layers: int


class Support(NamedTuple):
    """What the parser says of an ONNX file: how many nodes it takes, and what is against each other one."""

    supported: int
    problems: tuple[str, ...]


class Toolkit:
    """An installed TensorRT."""

    def __init__(self, name: str) -> None:
        self.module = importlib.import_module(name)
        self.name = f"{MODULES[name]} {self.module.__version__}"
        self.ahead = name == "tensorrt_rtx"
        self.logger = _logger(self.module)

    def target(self, capability: str) -> Target:
        """Return the target of a compute capability.

        Raises:
            ExportError: If no engine can be built for it.
        """
        known = [_dotted(member) for member in self.module.ComputeCapability.__members__ if member.startswith("SM")]
        if capability not in known:
            raise ExportError(
                f"{self.name} builds no engine for compute capability {capability!r}, only for {', '.join(known)}"
            )
        return Target(capability=capability)

    def support(self, source: Path) -> Support:
        """Ask the parser about every node of an ONNX file."""
        _builder, _network, parser = self._parser()
        parser.supports_model_v2(source.read_bytes(), str(source))
        problems = _problems(parser)
        # of a file that cannot be read it names nodes all the same
        parts = range(0 if any(place < 0 for place, _ in problems) else parser.num_subgraphs)
        return Support(sum(len(parser.get_subgraph_nodes(part)) for part in parts), tuple(text for _, text in problems))

    def build(self, source: Path, order: Order) -> Built:
        """Build an engine from an ONNX file; the precision is the file's own.

        Raises:
            ExportError: In the words of TensorRT, if it cannot.
        """
        support = self.support(source)
        if support.problems:
            raise ExportError(f"{source} cannot be read by {self.name}: {'; '.join(support.problems)}")
        if not support.supported:
            raise ExportError(f"{source} holds no network")
        builder, network, parser = self._parser()
        if order.threads:
            builder.max_threads = order.threads
        parser.parse(source.read_bytes(), str(source))  # the path is for weights in a file beside it
        self.logger.errors.clear()
        plan = builder.build_serialized_network(network, self._config(builder, order))
        if plan is None:
            raise ExportError(f"{self.name} cannot build {source} for {order.target}: {self.logger.words()}")
        return Built(plan, support.supported, network.num_layers)

    def load(self, path: Path) -> tuple[Any, Any]:
        """Load an engine; returns it and what has to live as long.

        Raises:
            ExportError: In the words of TensorRT, if it cannot be loaded.
        """
        self.logger.errors.clear()
        runtime = self.module.Runtime(self.logger)
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise ExportError(f"{path} cannot be loaded: {self.logger.words()}; 'prepare --force' builds it anew")
        return engine, runtime

    def _parser(self) -> tuple[Any, Any, Any]:
        """Return a builder, its network and what reads into it; each has to be kept as long as the next."""
        builder = self.module.Builder(self.logger)
        # as the file says, layer by layer: TensorRT 10 would choose, later ones do so anyway
        network = builder.create_network(1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        return builder, network, self.module.OnnxParser(network, self.logger)

    def _config(self, builder: Any, order: Order) -> Any:
        trt, config = self.module, builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 with 10 bits of mantissa
        profile = builder.create_optimization_profile()
        profile.set_shape(TILE, order.profile.minimum, order.profile.optimum, order.profile.maximum)
        config.add_optimization_profile(profile)
        if self.ahead:
            config.num_compute_capabilities = 1
            member = f"SM{order.target.capability.replace('.', '')}"
            config.set_compute_capability(getattr(trt.ComputeCapability, member), 0)
        return config


# TensorRT keeps the first logger that it is given for the life of the process
toolkit = cache(Toolkit)


def find(capabilities: Sequence[str] = ()) -> tuple[Toolkit, list[Target]]:
    """Return what builds engines here, and what for: the GPU that is here, or compute capabilities.

    Raises:
        ExportError: If TensorRT is not installed, there is no GPU, or nothing can be built for it.
    """
    if capabilities:
        if not _installed("tensorrt_rtx"):
            raise ExportError("a compute capability can be named to TensorRT RTX: pip install 'cryoseg-tf[trt-check]'")
        ahead = toolkit("tensorrt_rtx")
        return ahead, [ahead.target(capability) for capability in dict.fromkeys(capabilities)]
    names = [name for name in MODULES if _installed(name)]
    if not names:
        raise ExportError("tensorrt needs tensorrt-cu12: pip install 'cryoseg-tf[tensorrt]'")
    try:
        gpu = this_gpu()
    except ExportError as error:
        hint = "; for the GPU of another machine name its --compute-capability, as 8.9"
        raise ExportError(f"{error}{hint if 'tensorrt_rtx' in names else ''}") from None
    found = toolkit(names[0])
    return found, [found.target(gpu.capability) if found.ahead else gpu]


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _dotted(member: str) -> str:
    """SM120 -> 12.0"""
    digits = member.removeprefix("SM")
    return f"{digits[:-1]}.{digits[-1]}"


def _problems(parser: Any) -> list[tuple[int, str]]:
    """Return what the parser has against a file: the number of the node, or -1, and its words and place."""
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        node = f"node {error.node()}, {error.node_name()} ({error.node_operator()}): " if error.node() >= 0 else ""
        place = f"{error.func()}, {error.file()}:{error.line()}"
        found.append((error.node(), f"{node}{error.code().name}: {error.desc().strip()} ({place})"))
    return found


def _logger(module: Any) -> Any:
    class Kept(module.ILogger):
        """Keeps errors, to be told as ours."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= module.ILogger.ERROR:
                self.errors.append(message)
            elif severity <= module.ILogger.WARNING:
                log.debug("%s", message)

        def words(self) -> str:
            return "; ".join(" ".join(error.split()) for error in self.errors[-3:])[:800] or "it does not say why"

    return Kept()
