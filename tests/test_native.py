"""The network as drummix computes it: short convolutions, and a stream that keeps its past."""

import numpy as np
import pytest

from drummix.levels import gain_to_db
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.native import short_convolution as short
from drummix.mixers.native.geometry import Geometry
from drummix.mixers.native.layers import DownLayer, Team, UpLayer, block_tiles
from drummix.mixers.native.network import NativeNetwork
from drummix.mixers.weights import parameter_shapes

CONFIG = WaveUNetConfig(levels=5, filters=4)
SLOPE = 0.2


def random_tensors(config, seed=0):
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in parameter_shapes(config).items():
        scale = np.sqrt(2.0 / np.prod(shape[1:])) if name.endswith("weight") else 0.1
        tensors[name] = rng.normal(size=shape, scale=scale).astype(np.float32)
    return tensors


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolved(frames, kernel):
    """Valid convolution of a map (frames, in) in double precision."""
    windows = np.lib.stride_tricks.sliding_window_view(
        frames.astype(np.float64), kernel.shape[2], 0
    )
    return np.einsum("nit,oit->no", windows, kernel.astype(np.float64))


def leaky(values):
    return np.maximum(values, SLOPE * values)


def assert_close(found, expected):
    # Rounding of one layer: its sums have hundreds of terms of either sign, so that the error is
    # told beside the typical value; float32 done plainly leaves 4e-7 of it.
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert error < 1e-6


def streamed(network, stems, n_blocks=1):
    blocks = iter(np.array_split(stems, n_blocks, axis=1))
    return np.concatenate(list(network.stream(blocks, stems.shape[1])), axis=1)


def relative_db(difference, reference):
    return gain_to_db(float(np.abs(difference).max() / np.abs(reference).max()), floor_db=-300.0)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 8, 127, 300])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("taps", [3, 4, 5, 9, 15])
def test_downsampling_layer_is_its_convolution(taps, step, n_rows):
    kernel, bias = noise((5, 6, taps)), noise(5, 1)
    source, row = noise((step * (n_rows + taps) + 3, 6), 2), 3
    target = np.full((n_rows + 2, 5), 7.0, np.float32)
    layer = DownLayer(kernel, bias, SLOPE)
    layer.run(Team(1), source, row=row, step=step, target=target, first=1, n_rows=n_rows)
    expected = leaky(convolved(source[row::step], kernel)[:n_rows] + bias)
    assert_close(target[1:-1], expected)
    assert (target[[0, -1]] == 7.0).all()


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 4, 5, 63, 200])
def test_upsampling_layer_is_upsample_join_convolve(n_pairs):
    kernel, bias = noise((5, 4 + 6, 5)), noise(5, 1)
    below, skip = noise((n_pairs + 3, 6), 2), noise((2 * n_pairs + 9, 4), 3)
    target = np.full((2 * n_pairs + 2, 5), 7.0, np.float32)
    layer = UpLayer(kernel, bias, SLOPE, n_skip=4)
    layer.run(Team(1), below, skip, skip_row=2, target=target, first=1, n_pairs=n_pairs)
    upsampled = np.zeros((2 * n_pairs + 5, 6))
    upsampled[::2], upsampled[1::2] = below, (below[1:].astype(np.float64) + below[:-1]) / 2
    joined = np.concatenate([skip[2 : 2 * n_pairs + 7], upsampled], axis=1)[: 2 * n_pairs + 4]
    assert_close(target[1:-1], leaky(convolved(joined, kernel) + bias))
    assert (target[[0, -1]] == 7.0).all()


def test_seven_products_make_four_outputs_of_four_taps():
    """What the scheme is for: 7 matrices of the size of one tap in place of 4 x 4 for 4 outputs."""
    assert short.spread_kernel_7(noise((3, 2, 4))).shape == (7, 2, 3)
    assert short.spread_kernel_7(noise((3, 2, 15))).shape == (7, 8, 3)
    assert short.spread_kernel_8(noise((3, 2, 5))).shape == (8, 2, 3)


@pytest.mark.parametrize("n_samples", [1, 31, 32, 33, 5000])
@pytest.mark.parametrize("hop_frames", [32, 96, 1024, 1 << 15])
def test_stream_is_one_pass_whatever_the_hop(hop_frames, n_samples):
    stems = noise((8, n_samples))
    tensors, context = random_tensors(CONFIG), CONFIG.context_frames
    n_bottleneck = -(-(n_samples + 5 * (CONFIG.decimation - 1)) // CONFIG.decimation)
    padded = np.zeros((8, CONFIG.input_frames(max(5, n_bottleneck))), np.float32)
    padded[:, context : context + n_samples] = stems
    whole = NativeNetwork(CONFIG, tensors, threads=1, hop_frames=1 << 20)(padded)[:, :n_samples]
    network = NativeNetwork(CONFIG, tensors, threads=1, hop_frames=hop_frames)
    mix = streamed(network, stems, n_blocks=min(7, n_samples))
    assert mix.shape == (2, n_samples)
    assert relative_db(mix - whole, whole) < -110.0


def test_every_number_of_threads_gives_the_same_bits():
    config = WaveUNetConfig(levels=4, filters=8)
    tensors, stems = random_tensors(config), noise((8, 40_000))
    # Long enough for the first layers to be cut into several blocks.
    assert block_tiles(40_000 // 4) < 40_000 // 4
    one, *others = (
        streamed(NativeNetwork(config, tensors, threads=threads, hop_frames=1 << 15), stems)
        for threads in (1, 2, 3)
    )
    for other in others:
        np.testing.assert_array_equal(one, other)


def test_a_network_serves_streams_that_run_at_the_same_time():
    network = NativeNetwork(CONFIG, random_tensors(CONFIG), threads=1, hop_frames=256)
    first, second = noise((8, 2000), 1), noise((8, 2000), 2)
    pairs = zip(
        network.stream(iter([first]), 2000), network.stream(iter([second]), 2000), strict=True
    )
    mixes = [np.concatenate(blocks, axis=1) for blocks in zip(*pairs, strict=True)]
    np.testing.assert_array_equal(mixes[0], streamed(network, first))
    np.testing.assert_array_equal(mixes[1], streamed(network, second))


def test_before_a_session_every_layer_has_heard_silence_for_ever():
    """An hour of silence before the first stroke changes nothing."""
    network = NativeNetwork(CONFIG, random_tensors(CONFIG), threads=1, hop_frames=1024)
    stems = noise((8, 3000))
    n_silent = 64 * CONFIG.decimation
    later = streamed(network, np.pad(stems, ((0, 0), (n_silent, 0))))
    assert relative_db(later[:, n_silent:] - streamed(network, stems), later) < -110.0


def test_nothing_but_the_context_behind_the_end_is_computed_beside_the_session():
    """The paper's segments take 37% more input than they give; here it is 0.4 s a session."""
    config = WaveUNetConfig()
    beside = Geometry.of(config).delay - config.context_frames // 1024 * 1024
    assert beside / 44_100 == pytest.approx(0.418, abs=0.001)
    assert beside - config.context_frames < 3 * config.decimation
