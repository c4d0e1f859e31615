"""The Wave-U-Net as an ONNX graph, built from its sizes and weights without torch.

In: a `WaveUNetConfig` and its weights. Out: an ONNX model for any input length the network takes.
Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, Table 1.

The graph computes the paper's network with fewer operations. Upsampling by two (midpoints) and
then convolving with five taps equals two short convolutions at the low rate, three taps for the
even output frames and four for the odd ones, interleaved; and a convolution over concatenated
maps is the sum of one over each. So nothing is upsampled and nothing is concatenated.

One-dimensional convolutions are kept as such: ONNX Runtime on a CPU is about 10% slower with the
same convolutions written as two-dimensional ones, for it changes layout around every crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from drummix.audio import atomic_path
from drummix.errors import SettingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.upsampling import even_kernel, odd_kernel
from drummix.mixers.weights import Model

FloatArray = NDArray[np.float32]

INPUT_NAME = "stems"
OUTPUT_NAME = "mix"
_OPSET = 17
_IR_VERSION = 8
_TO_THE_END = np.iinfo(np.int64).max


def write_onnx(model: Model, target: Path | str) -> Path:
    """Write a network as an ONNX file, to run it with another runtime.

    The file's metadata hold what has to be known for that: ``name``, ``target``, ``roles`` (comma
    separated, the order of the inputs), ``rate_hz``, ``input_levels``, ``least_frames`` of an
    input, ``step_frames`` by which longer ones differ, and ``context_frames`` on each side of the
    output.

    Args:
        model: The network.
        target: The file, which ends in ``.onnx``.

    Returns:
        `target`.

    Raises:
        SettingError: If the name does not end in ``.onnx``.
        OutputError: If the file cannot be written.
    """
    target = Path(target)
    if target.suffix.lower() != ".onnx":
        raise SettingError("target", str(target), "give a name that ends in .onnx")
    config = model.config
    graph = build_graph(config, model.tensors)
    metadata = {
        "name": model.name,
        "target": model.target,
        "roles": ",".join(role.value for role in model.roles),
        "rate_hz": str(model.rate_hz),
        "input_levels": model.input_levels,
        "least_frames": str(config.input_frames(config.min_bottleneck_frames)),
        "context_frames": str(config.context_frames),
        "step_frames": str(config.decimation),
    }
    helper.set_model_props(graph, metadata)
    with atomic_path(target) as temporary:
        temporary.write_bytes(graph.SerializeToString())
    return target


def build_graph(config: WaveUNetConfig, tensors: Mapping[str, FloatArray]) -> onnx.ModelProto:
    """Build the network as an ONNX model.

    Args:
        config: Size of the network.
        tensors: Weights by name, as `weights.parameter_shapes` lists them, float32.

    Returns:
        A model with one input ``stems`` (1, inputs, frames) and one output ``mix`` (1, outputs,
        `config.output_frames(frames)`), for any `frames` that `config.input_frames` gives.
    """
    graph = _Graph(config.leaky_slope)
    features = INPUT_NAME
    skips: list[str] = []
    for level in range(config.levels):
        features = graph.leaky_relu(graph.convolve(features, *_layer(tensors, f"down.{level}")))
        skips.append(features)
        features = graph.every_other(features)
    features = graph.leaky_relu(graph.convolve(features, *_layer(tensors, "bottleneck")))
    for level, (n_skip, _, _) in enumerate(config.up_shapes()):
        kernel, bias = _layer(tensors, f"up.{level}")
        skip = graph.crop(skips.pop(), config.skip_margin(level))
        from_skip = graph.convolve(skip, kernel[:, :n_skip], bias)
        from_below = graph.upsample_and_convolve(features, kernel[:, n_skip:])
        features = graph.leaky_relu(graph.add(from_skip, from_below))
    kernel, bias = _layer(tensors, "output")
    stems = graph.crop(INPUT_NAME, config.context_frames)
    from_stems = graph.convolve(stems, kernel[:, : config.n_inputs], bias)
    graph.add(from_stems, graph.convolve(features, kernel[:, config.n_inputs :]), OUTPUT_NAME)
    return graph.model(config)


def _layer(tensors: Mapping[str, FloatArray], name: str) -> tuple[FloatArray, FloatArray]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


class _Graph:
    """Nodes and constants of a graph under construction; methods take and give value names."""

    def __init__(self, leaky_slope: float) -> None:
        self._leaky_slope = leaky_slope
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def convolve(
        self, features: str, kernel: FloatArray, bias: FloatArray | None = None, end_pad: int = 0
    ) -> str:
        inputs = [features, self._constant(kernel)]
        if bias is not None:
            inputs.append(self._constant(bias))
        return self._node("Conv", inputs, pads=[0, end_pad])

    def leaky_relu(self, features: str) -> str:
        return self._node("LeakyRelu", [features], alpha=self._leaky_slope)

    def add(self, first: str, second: str, name: str | None = None) -> str:
        return self._node("Add", [first, second], name)

    def every_other(self, features: str) -> str:
        return self._slice(features, 0, _TO_THE_END, step=2)

    def crop(self, features: str, margin: int) -> str:
        return self._slice(features, margin, -margin) if margin > 0 else features

    def upsample_and_convolve(self, below: str, kernel: FloatArray) -> str:
        """2N - 5 frames from N: even and odd frames computed at the low rate, interleaved."""
        pair_axis = self._indices([3])
        even = self.convolve(below, even_kernel(kernel))
        # One odd frame fewer than even ones: a zero makes the pairs whole, the last is cut off.
        odd = self.convolve(below, odd_kernel(kernel), end_pad=1)
        even, odd = (self._node("Unsqueeze", [part, pair_axis]) for part in (even, odd))
        pairs = self._node("Concat", [even, odd], axis=-1)
        joined = self._node("Reshape", [pairs, self._indices([1, kernel.shape[0], -1])])
        return self._slice(joined, 0, -1)

    def model(self, config: WaveUNetConfig) -> onnx.ModelProto:
        def value(name: str, channels: int, frames: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, frames])

        graph = helper.make_graph(
            self._nodes,
            "wave_u_net",
            [value(INPUT_NAME, config.n_inputs, "input_frames")],
            [value(OUTPUT_NAME, config.n_outputs, "output_frames")],
            initializer=list(self._constants.values()),
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="drummix"
        )

    def _slice(self, features: str, start: int, end: int, step: int = 1) -> str:
        bounds = [self._indices([number]) for number in (start, end, 2, step)]
        return self._node("Slice", [features, *bounds])

    def _node(
        self,
        kind: str,
        inputs: Sequence[str],
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        output = name or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, values: FloatArray) -> str:
        name = f"weight_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(
            np.ascontiguousarray(values, dtype=np.float32), name
        )
        return name

    def _indices(self, numbers: list[int]) -> str:
        name = f"indices_{'_'.join(str(number) for number in numbers)}"
        self._constants[name] = numpy_helper.from_array(np.array(numbers, dtype=np.int64), name)
        return name
