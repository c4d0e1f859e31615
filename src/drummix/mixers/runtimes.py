"""A Wave-U-Net made ready to run: by drummix itself, or by OpenVINO on its ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.compute import Compute, Settled, settle
from drummix.mixers.segments import even_segments, run_segments
from drummix.mixers.weights import Model

FloatArray = NDArray[np.float32]


class Network(Protocol):
    """A network in a runtime."""

    def __call__(self, stems: FloatArray) -> FloatArray:
        """One segment: (inputs, frames) to (outputs, `config.output_frames(frames)`)."""

    def stream(self, blocks: Iterator[FloatArray], n_frames: int) -> Iterator[FloatArray]:
        """A session of `n_frames`, silent before and after, as blocks (outputs, frames)."""


def load_network(model: Model, settled: Settled | None = None) -> Network:
    """Make a network ready to run.

    Args:
        model: Its sizes and weights.
        settled: What it uses, as `drummix.mixers.compute.settle` decides; None for the default.
    """
    settled = settle(Compute(), model.config) if settled is None else settled
    if settled.runtime == "openvino":
        return OpenVinoNetwork(model.config, model.tensors, settled)
    from drummix.mixers.native.network import NativeNetwork  # numba takes long to load

    return NativeNetwork(
        model.config, model.tensors, threads=settled.threads, hop_frames=settled.hop_frames
    )


class OpenVinoNetwork:
    """The restructured graph in OpenVINO on the CPU, one stream.

    Args:
        config: Size of the network.
        tensors: Its weights by name, float32.
        settled: Threads, precision and length of a segment.
    """

    def __init__(
        self, config: WaveUNetConfig, tensors: Mapping[str, FloatArray], settled: Settled
    ) -> None:
        import openvino  # as numba

        from drummix.mixers.graph import build_graph

        self._config, self._hop_frames = config, settled.hop_frames
        core = openvino.Core()
        graph = core.read_model(build_graph(config, tensors).SerializeToString())
        compiled = core.compile_model(
            graph,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": settled.threads,
                "INFERENCE_PRECISION_HINT": "bf16" if settled.precision == "bfloat16" else "f32",
                # The process may share its cores; the system knows best where a thread can run.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()

    def __call__(self, stems: FloatArray) -> FloatArray:
        """One segment: (inputs, frames) to (outputs, `config.output_frames(frames)`)."""
        found = self._request.infer({0: stems[np.newaxis]})
        return np.array(found[0][0], dtype=np.float32)

    def stream(self, blocks: Iterator[FloatArray], n_frames: int) -> Iterator[FloatArray]:
        """A session in segments that join to the result of one long pass."""
        segments = even_segments(self._config, n_frames, self._hop_frames)
        return run_segments(segments, blocks, self._config, self)
