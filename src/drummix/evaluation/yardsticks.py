"""What the speed of the network is measured by: the paper's network, plainly, in other runtimes.

In: sizes and weights. Out: a function from one segment (inputs, frames) to (outputs, frames), as
the paper draws the network: upsample, crop, concatenate, convolve. Nothing mixes with these.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.mixers.architecture import WaveUNetConfig

FloatArray = NDArray[np.float32]
Segmented = Callable[[FloatArray], FloatArray]


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def plain_torch(
    config: WaveUNetConfig, tensors: Mapping[str, FloatArray], threads: int
) -> Segmented:
    """The plain network in PyTorch; sets the threads of the whole process."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    weights = {name: torch.from_numpy(np.array(values)) for name, values in tensors.items()}

    def convolve(features: Any, name: str) -> Any:
        return functional.conv1d(features, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def crop(features: Any, frames: int) -> Any:
        margin = (features.shape[-1] - frames) // 2
        return features[..., margin : margin + frames]

    def run(stems: FloatArray) -> FloatArray:
        slope, skips = config.leaky_slope, []
        with torch.inference_mode():
            first = features = torch.from_numpy(stems)[None]
            for level in range(config.levels):
                features = functional.leaky_relu(convolve(features, f"down.{level}"), slope)
                skips.append(features)
                features = features[..., ::2]
            features = functional.leaky_relu(convolve(features, "bottleneck"), slope)
            for depth in range(config.levels):
                frames = 2 * features.shape[-1] - 1
                features = functional.interpolate(
                    features, size=frames, mode="linear", align_corners=True
                )
                features = torch.cat([crop(skips.pop(), frames), features], dim=1)
                features = functional.leaky_relu(convolve(features, f"up.{depth}"), slope)
            features = torch.cat([crop(first, features.shape[-1]), features], dim=1)
            return np.asarray(convolve(features, "output")[0].numpy())

    return run


def plain_onnxruntime(
    config: WaveUNetConfig, tensors: Mapping[str, FloatArray], threads: int
) -> Segmented:
    """The plain network as PyTorch would export it, in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        _plain_graph(config, tensors), options, providers=["CPUExecutionProvider"]
    )
    return lambda stems: np.asarray(session.run(None, {"stems": stems[np.newaxis]})[0][0])


def _plain_graph(config: WaveUNetConfig, tensors: Mapping[str, FloatArray]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants = {name: numpy_helper.from_array(np.array(t), name) for name, t in tensors.items()}

    def indices(*numbers: int) -> str:
        name = f"indices_{'_'.join(map(str, numbers))}"
        constants[name] = numpy_helper.from_array(np.array(numbers, dtype=np.int64), name)
        return name

    def node(kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"value_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def convolve(features: str, layer: str, name: str | None = None) -> str:
        return node("Conv", features, f"{layer}.weight", f"{layer}.bias", name=name)

    def crop(features: str, margin: int) -> str:
        return node("Slice", features, indices(margin), indices(-margin), indices(2))

    slope, features, skips = config.leaky_slope, "stems", []
    end = indices(np.iinfo(np.int64).max)
    for level in range(config.levels):
        features = node("LeakyRelu", convolve(features, f"down.{level}"), alpha=slope)
        skips.append(features)
        features = node("Slice", features, indices(0), end, indices(2), indices(2))
    features = node("LeakyRelu", convolve(features, "bottleneck"), alpha=slope)
    for depth in range(config.levels):
        doubled = node("Mul", node("Shape", features), indices(1, 1, 2))
        size = node("Sub", doubled, indices(0, 0, 1))
        corners = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        features = node("Resize", features, "", "", size, **corners)
        skip = crop(skips.pop(), config.skip_margin(depth))
        joined = node("Concat", skip, features, axis=1)
        features = node("LeakyRelu", convolve(joined, f"up.{depth}"), alpha=slope)
    joined = node("Concat", crop("stems", config.context_frames), features, axis=1)
    convolve(joined, "output", name="mix")

    def value(name: str, channels: int, frames: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, frames])

    graph = helper.make_graph(
        nodes,
        "plain_wave_u_net",
        [value("stems", config.n_inputs, "input_frames")],
        [value("mix", config.n_outputs, "output_frames")],
        initializer=list(constants.values()),
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
