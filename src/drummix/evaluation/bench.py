"""How fast the network is on this machine, beside the usual ways to run it, in one run.

All ways mix the same noise with the same weights, one after the other in turn, so that whatever
else the machine does falls on each of them alike; the figures are medians of five turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drummix.audio import Audio
from drummix.effects.dynamics import compress
from drummix.effects.eq import Band, equalise
from drummix.effects.plate import plate
from drummix.errors import SettingError
from drummix.evaluation.cost import LayerCost, gemm_rate, layer_costs
from drummix.evaluation.speed import RATE_HZ, Speed, timed_mix, write_session
from drummix.evaluation.table import Grid
from drummix.evaluation.yardsticks import is_installed, plain_onnxruntime, plain_torch
from drummix.mixers.architecture import PAPER_BOTTLENECK_FRAMES, WaveUNetConfig
from drummix.mixers.compute import Compute, resolve_compute
from drummix.mixers.native import load_network
from drummix.mixers.segments import paper_segments, run_segments
from drummix.mixers.weights import Model, load_model, parameter_shapes, write_model
from drummix.mixing import mix
from drummix.roles import PAPER_ROLES

LENGTHS_S = (15.0, 60.0, 600.0)
QUICK_LENGTHS_S = (15.0, 60.0)
SHIPPED = "waveunet-wet"

TORCH = "PyTorch, plain, the paper's segments"
ONNX_RUNTIME = "ONNX Runtime, plain, the paper's segments"
NATIVE = "drummix"

_KINDS = ("plain", "split", "native")
_TURNS = 5
_N_SEGMENTS = 6
_DSP_S = 30.0

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Way:
    """One way to run a network.

    Args:
        name: Its name.
        seconds_per_second: Seconds of work for a second of audio, median of the turns.
        of_torch: The same over that of plain PyTorch; None where that is not installed.
        of_onnxruntime: The same over that of ONNX Runtime; None where that is not installed.
    """

    name: str
    seconds_per_second: float
    of_torch: float | None
    of_onnxruntime: float | None


@dataclass(frozen=True)
class NetworkBench:
    """One network.

    Args:
        name: Its name.
        config: Its size.
        ways: The ways to run it.
        speeds: Whole mixes from file to file by it, by length.
        costs: Multiply-adds by layer.
        bound: Seconds for a second of audio if the machine did nothing but the multiply-adds of
            the plain network, of the restructured one, and of drummix's, at its measured rate.
    """

    name: str
    config: WaveUNetConfig
    ways: tuple[Way, ...]
    speeds: tuple[Speed, ...]
    costs: tuple[LayerCost, ...]
    bound: tuple[float, float, float]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        mixes = [
            {**asdict(speed), "seconds_per_second": speed.seconds_per_second}
            for speed in self.speeds
        ]
        return {
            "name": self.name,
            "architecture": self.config.to_mapping(),
            "ways": [asdict(way) for way in self.ways],
            "mixes": mixes,
            "multiply_adds_per_sample": [asdict(cost) for cost in self.costs],
            "bound": dict(zip(_KINDS, self.bound, strict=True)),
        }


@dataclass(frozen=True)
class Bench:
    """Everything measured.

    Args:
        threads: Threads of every way.
        gemm_rate: Multiply-adds a second.
        networks: One entry a network.
        dsp: Effect or system -> seconds of stereo audio in a second on one core.
    """

    threads: int
    gemm_rate: float
    networks: tuple[NetworkBench, ...]
    dsp: dict[str, float]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return {
            "threads": self.threads,
            "gemm_multiply_adds_per_s": self.gemm_rate,
            "networks": [network.to_mapping() for network in self.networks],
            "dsp_times_real_time": self.dsp,
        }

    def grids(self) -> tuple[Grid, ...]:
        """The tables, for people."""
        ways = [
            (network.name, way.name, f"{way.seconds_per_second:.4f}", _ratio(way.of_torch),
             _ratio(way.of_onnxruntime))
            for network in self.networks
            for way in network.ways
        ]  # fmt: skip
        mixes = [
            (network.name, f"{speed.duration_s:g}", f"{speed.wall_s:.2f}",
             f"{speed.seconds_per_second:.4f}", f"{speed.peak_mb:.0f}")
            for network in self.networks
            for speed in network.speeds
        ]  # fmt: skip
        bounds = [
            (
                network.name,
                *(f"{sum(getattr(c, kind) for c in network.costs):.0f}" for kind in _KINDS),
                *(f"{bound:.4f}" for bound in network.bound),
            )
            for network in self.networks
        ]
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        rate = f"{self.gemm_rate / 1e9:.1f} thousand million multiply-adds a second"
        return (
            Grid(
                f"The network alone, {threads}: seconds for a second of audio.",
                ("network", "way", "s/s", "of PyTorch", "of ONNX Runtime"),
                tuple(ways),
            ),
            Grid(
                "Mixes of eight microphones from file to file, each in a process of its own.",
                ("network", "audio (s)", "time (s)", "s/s", "peak memory (MB)"),
                tuple(mixes),
            ),
            Grid(
                f"Multiply-adds a sample, and the bound at {rate} ({threads}): s/s.",
                ("network", "plain", "split", "drummix", "plain", "split", "drummix"),
                tuple(bounds),
            ),
            Grid(
                "Effects and the forest on stereo, one core: times real time.",
                ("what", "times real time"),
                tuple((name, f"{times:.0f}") for name, times in self.dsp.items()),
            ),
        )


def measure(
    *,
    rng: np.random.Generator,
    lengths_s: Sequence[float] = LENGTHS_S,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Measure the shipped network and one of the paper's size, whose weights are drawn.

    Args:
        rng: Draws what is mixed, and the weights of the paper's size.
        lengths_s: Lengths of the sessions that are mixed from file to file; none for none.
        threads: Threads of every way; None for the cores that may be used.
        progress: Called with steps done, all steps, and the step.

    Raises:
        SettingError: If a length is out of range.
    """
    for length_s in lengths_s:
        if not 0.5 <= length_s <= 36_000.0:
            raise SettingError("lengths_s", length_s, "give 0.5 to 36000")
    lengths_s = sorted(set(lengths_s))
    steps = iter(range(1, 10_000))
    n_steps = 2 * (1 + len(lengths_s)) + 1

    def done(what: str) -> None:
        if progress is not None:
            progress(next(steps), n_steps, what)

    with tempfile.TemporaryDirectory(prefix="drummix-bench-") as name:
        scratch = Path(name)
        shipped = load_model(SHIPPED)
        models = {f"shipped, {shipped.config.filters} filters": shipped}
        models["paper size, 24 filters"] = paper_size_model(scratch, rng)
        asked = Compute(threads=threads)
        rate = gemm_rate(resolve_compute(asked, shipped.config).threads)
        folders = {s: write_session(scratch / f"{s:g} s", s, rng) for s in lengths_s}
        networks = []
        for label, model in models.items():
            ways = measure_ways(model, asked, rng)
            done("network")
            speeds = []
            for length_s, folder in folders.items():
                speeds.append(timed_mix(SHIPPED, length_s, folder, scratch, model.folder))
                done("mixing")
            networks.append(_network(label, model.config, ways, tuple(speeds), rate))
        dsp = measure_dsp(rng)
        done("effects")
    n_threads = resolve_compute(asked, shipped.config).threads
    return Bench(n_threads, rate, tuple(networks), dsp)


def paper_size_model(folder: Path, rng: np.random.Generator) -> Model:
    """A model of the paper's size with weights that are drawn: as fast as one that was trained."""
    config, card = WaveUNetConfig(), load_model(SHIPPED).card
    tensors = {}
    for name, shape in parameter_shapes(config).items():
        most = np.sqrt(6.0 / ((shape[0] + shape[1]) * shape[2])) if len(shape) == 3 else 0.02
        tensors[name] = rng.uniform(-most, most, shape).astype(np.float32)
    made = {**card, "architecture": config.to_mapping(), "metrics": {}, "training": {}}
    return load_model(write_model(folder, "paper-size", tensors, made))


def measure_ways(
    model: Model, asked: Compute, rng: np.random.Generator, turns: int = _TURNS
) -> tuple[Way, ...]:
    """Run a network in every way that is there, in turn.

    Args:
        model: The network.
        asked: Threads and memory.
        rng: Draws what is mixed.
        turns: How often; the first turn, which warms up, comes beside these.
    """
    config = model.config
    n_segment = config.output_frames(config.input_frames(PAPER_BOTTLENECK_FRAMES))
    n_samples = _N_SEGMENTS * n_segment
    stems = (0.1 * rng.standard_normal((config.n_inputs, n_samples))).astype(np.float32)
    ways = _ways(model, asked)
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + turns):
        for name, run in ways.items():
            start_s = time.perf_counter()
            n_mixed = sum(block.shape[1] for block in run(stems))
            times_s[name].append(time.perf_counter() - start_s)
            assert n_mixed == n_samples, "a way gave a mix of another length"
    medians = {name: statistics.median(times[1:]) for name, times in times_s.items()}
    audio_s = n_samples / model.rate_hz

    def ratio(name: str, other: str) -> float | None:
        return medians[name] / medians[other] if other in medians else None

    return tuple(
        Way(name, median / audio_s, ratio(name, TORCH), ratio(name, ONNX_RUNTIME))
        for name, median in medians.items()
    )


def measure_dsp(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of stereo audio that effects and the forest treat in a second on one core."""
    n_samples = round(_DSP_S * RATE_HZ)
    stereo = (0.1 * rng.standard_normal((2, n_samples))).astype(np.float32)
    session = {role.value: Audio(stereo[:1], RATE_HZ) for role in PAPER_ROLES}
    bands = [Band("peak", 100.0 * 2**n, gain_db=3.0) for n in range(4)]
    what: dict[str, Callable[[], object]] = {
        "compressor": lambda: compress(
            stereo, RATE_HZ, threshold_db=-24.0, ratio=4.0, attack_ms=10.0, release_ms=100.0
        ),
        "plate": lambda: plate(stereo, RATE_HZ),
        "EQ, four bands": lambda: equalise(stereo, RATE_HZ, bands),
        "forest-dry, eight microphones": lambda: mix(session, system="forest-dry"),
        "forest-wet, eight microphones": lambda: mix(session, system="forest-wet"),
    }
    speeds = {}
    for name, run in what.items():
        run()  # compiles, and fills caches
        used_s = []
        for _ in range(3):
            # Processor time: of one core, whatever else the machine does.
            start_s = time.process_time()
            run()
            used_s.append(time.process_time() - start_s)
        speeds[name] = _DSP_S / statistics.median(used_s)
    return speeds


def _ways(
    model: Model, asked: Compute
) -> dict[str, Callable[[np.ndarray[Any, Any]], Iterator[np.ndarray[Any, Any]]]]:
    config = model.config
    resources = resolve_compute(asked, config)
    ways: dict[str, Any] = {}

    def in_paper_segments(network: Any) -> Any:
        return lambda stems: run_segments(
            paper_segments(config, stems.shape[1]), iter([stems]), config, network
        )

    if is_installed("torch"):
        ways[TORCH] = in_paper_segments(plain_torch(config, model.tensors, resources.threads))
    if is_installed("onnxruntime") and is_installed("onnx"):
        plain = plain_onnxruntime(config, model.tensors, resources.threads)
        ways[ONNX_RUNTIME] = in_paper_segments(plain)
    network = load_network(model, resources)
    ways[NATIVE] = lambda stems: network.stream(iter([stems]), stems.shape[1])
    return ways


def _network(
    name: str,
    config: WaveUNetConfig,
    ways: tuple[Way, ...],
    speeds: tuple[Speed, ...],
    rate: float,
) -> NetworkBench:
    costs = layer_costs(config)
    plain, split, native = (
        RATE_HZ * sum(getattr(cost, kind) for cost in costs) / rate for kind in _KINDS
    )
    return NetworkBench(name, config, ways, speeds, costs, (plain, split, native))


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
