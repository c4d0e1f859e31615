"""`drummix bench`: what is counted, what is compared, and that the yardsticks are the network."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.cli import app
from drummix.errors import SettingError
from drummix.evaluation import bench
from drummix.evaluation.cost import gemm_rate, layer_costs
from drummix.evaluation.yardsticks import plain_onnxruntime, plain_torch
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.native.network import NativeNetwork
from drummix.mixers.weights import parameter_shapes

SMALL = WaveUNetConfig(levels=4, filters=4)


def random_tensors(config):
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(config).items()
    return {
        name: rng.normal(size=shape, scale=np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes
    }


@pytest.mark.parametrize(
    ("yardstick", "package", "error"),
    # ONNX Runtime computes where a frame is resampled from in float32: that costs it digits.
    [(plain_torch, "torch", 1e-6), (plain_onnxruntime, "onnxruntime", 1e-3)],
)
def test_a_yardstick_is_the_same_network(yardstick, package, error):
    pytest.importorskip(package, reason=f"{package} is not installed")
    tensors = random_tensors(SMALL)
    stems = np.random.default_rng(1).normal(size=(8, SMALL.input_frames(20))).astype(np.float32)
    expected = NativeNetwork(SMALL, tensors, threads=1, hop_frames=1024)(stems)
    found = yardstick(SMALL, tensors, 1)(stems)
    assert np.abs(found - expected).max() < error * np.abs(expected).max()


def test_multiply_adds_follow_table_1_of_the_paper():
    costs = {cost.name: cost for cost in layer_costs(WaveUNetConfig())}
    assert costs["down.0"].plain == 8 * 24 * 15
    assert costs["down.2"].plain == 48 * 72 * 15 / 4
    assert costs["up.9"].plain == (24 + 48) * 24 * 5
    assert costs["output"].plain == 32 * 2
    # 5 taps at the high rate are 3 for its even frames and 4 for its odd ones, at half the rate.
    assert costs["up.9"].split == 24 * 24 * 5 + 48 * 24 * 3.5
    # Four outputs of four taps take 7 products, of five taps 8.
    assert costs["down.1"].native == 24 * 48 * (4 * 7 / 4) / 2
    assert costs["up.9"].native == 24 * 24 * 8 / 4 + 48 * 24 * 3.5 / 2


def test_the_rate_of_products_is_a_rate():
    assert 1e8 < gemm_rate(1, repeats=1) < 1e13


def test_a_length_out_of_range_is_refused():
    with pytest.raises(SettingError, match=r"lengths_s is 0\.1; give 0\.5 to 36000"):
        bench.measure(rng=np.random.default_rng(0), lengths_s=[0.1])


def test_the_command_prints_every_way_the_mixes_the_bound_and_the_effects(monkeypatch):
    monkeypatch.setattr(bench, "_N_SEGMENTS", 1)
    monkeypatch.setattr(bench, "_TURNS", 1)
    monkeypatch.setattr(bench, "_DSP_S", 1.0)
    # What is drawn for the paper's size takes seconds to mix with.
    monkeypatch.setattr(bench, "WaveUNetConfig", lambda: WaveUNetConfig(filters=2))
    ran = CliRunner().invoke(app, ["bench", "--json", "--lengths", "0.5", "--threads", "1"])
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["threads"] == 1
    shipped, paper = found["networks"]
    names = [way["name"] for way in shipped["ways"]]
    assert bench.NATIVE in names
    for way in shipped["ways"]:
        if bench.TORCH in names:
            [torch] = [other for other in shipped["ways"] if other["name"] == bench.TORCH]
            ratio = way["seconds_per_second"] / torch["seconds_per_second"]
            assert way["of_torch"] == pytest.approx(ratio)
    [mix] = shipped["mixes"]
    assert mix["duration_s"] == 0.5
    assert 50.0 < mix["peak_mb"] < 600.0
    plain = sum(layer["plain"] for layer in paper["multiply_adds_per_sample"])
    rate = found["gemm_multiply_adds_per_s"]
    assert paper["bound"]["plain"] == pytest.approx(44_100 * plain / rate)
    assert set(found["dsp_times_real_time"]) >= {"compressor", "plate", "EQ, four bands"}


def test_quick_and_lengths_contradict():
    ran = CliRunner().invoke(app, ["bench", "--quick", "--lengths", "5"])
    assert ran.exit_code == 2
    assert "not both" in ran.stderr
