"""Threads, memory, precision and runtime: what is asked for, what is used, and that it is said."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.cli import app
from drummix.errors import MissingExtraError, SettingError
from drummix.evaluation.speed import write_session
from drummix.mixers import compute
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.compute import Compute, allowed_cores, has_bf16, memory_mb, settle
from drummix.mixers.registry import make_mixer
from drummix.mixing import mix_to_file

PAPER = WaveUNetConfig()
SMALL = WaveUNetConfig(levels=3, filters=2)


def cpuinfo(monkeypatch, tmp_path, flags):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\nflags\t\t: fpu sse2 {flags}\n")
    monkeypatch.setattr(compute, "_CPU_INFO", path)


# What is asked for.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threads": 0}, "threads is 0; expected 1 to 1024"),
        ({"memory_mb": -5.0}, "memory_mb is -5; expected more than 0 MB"),
        ({"memory_mb": float("nan")}, "memory_mb is nan"),
        ({"precision": "half"}, "precision is 'half'; use full or fast"),
        ({"runtime": "torch"}, "runtime is 'torch'; use auto or native or openvino"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(wrong, message):
    with pytest.raises(SettingError, match=message):
        Compute(**wrong)


def test_an_option_of_the_network_is_refused_where_there_is_none():
    for given in (Compute(threads=1), Compute(memory_mb=900.0), Compute(runtime="native")):
        with pytest.raises(SettingError, match=f"{next(iter(given.given()))} means nothing"):
            make_mixer("unity", compute=given)
    make_mixer("unity", compute=Compute())


# Threads.


def test_default_threads_are_the_cores_that_this_process_may_use():
    assert settle(Compute(), SMALL).threads == allowed_cores()
    assert settle(Compute(threads=3), SMALL).threads == 3


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="Linux only")
def test_affinity_limits_the_threads():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from drummix.mixers.compute import allowed_cores; print(allowed_cores())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1)])
def test_the_quota_of_a_container_limits_the_threads(monkeypatch, tmp_path, quota, cores):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cpu.max").write_text(quota + "\n")
    (tmp_path / "own").write_text("0::/job\n")
    monkeypatch.setattr(compute, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(compute, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(compute.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert allowed_cores() == cores


# Memory.


def test_more_memory_makes_longer_segments_up_to_a_limit():
    hops = [settle(Compute(2, memory), PAPER).hop_frames for memory in (420.0, 450.0, 600.0, 5e3)]
    assert hops == sorted(hops)
    assert hops[0] < hops[1] < hops[2] == hops[3] == compute.MOST_HOP_FRAMES
    assert all(hop % PAPER.decimation == 0 for hop in hops)


def test_the_default_stays_below_600_mb_at_the_papers_size():
    hop_frames = settle(Compute(threads=2), PAPER).hop_frames
    assert memory_mb(PAPER, "native", 2, hop_frames) < 600.0


def test_too_little_memory_is_refused_with_the_least_that_works():
    with pytest.raises(
        SettingError, match=r"memory_mb is 100 MB; this network takes (\d+) MB"
    ) as e:
        settle(Compute(threads=1, memory_mb=100.0), PAPER)
    least_mb = float(str(e.value).split("takes ")[1].split()[0])
    assert settle(Compute(threads=1, memory_mb=least_mb), PAPER).hop_frames >= PAPER.decimation
    with pytest.raises(SettingError):
        settle(Compute(threads=1, memory_mb=least_mb - 20.0), PAPER)


def test_a_whole_mix_takes_no_more_memory_than_it_was_given(tmp_path):
    """Peak memory of a fresh process, with the compiled parts cached by the run before it."""
    takes = write_session(tmp_path / "takes", 4.0, np.random.default_rng(0))
    code = (
        "import sys, drummix; from drummix.mixers.compute import Compute, peak_memory_mb;"
        "compute = Compute(threads=1, memory_mb=float(sys.argv[3]));"
        "drummix.mix_to_file(sys.argv[1], sys.argv[2], compute=compute);"
        "print(peak_memory_mb())"
    )
    peaks_mb = []
    for memory in ("280", "370"):
        command = [sys.executable, "-c", code, str(takes), str(tmp_path / "mix.wav"), memory]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_mb.append(float(run.stdout))
        assert peaks_mb[-1] <= float(memory)
    assert peaks_mb[1] > peaks_mb[0] + 10.0


# Precision and runtime.


def test_fast_without_bfloat16_is_full_precision_and_says_so(monkeypatch, tmp_path):
    cpuinfo(monkeypatch, tmp_path, "avx2 fma")
    assert not has_bf16()
    settled = settle(Compute(precision="fast"), SMALL)
    assert (settled.runtime, settled.precision) == ("native", "float32")
    [notice] = settled.notices
    assert notice.startswith("--precision fast not used: this processor has no bfloat16")


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_fast_with_bfloat16_is_openvino(monkeypatch, tmp_path, flag):
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    cpuinfo(monkeypatch, tmp_path, f"avx2 {flag} fma")
    settled = settle(Compute(precision="fast"), SMALL)
    assert (settled.runtime, settled.precision) == ("openvino", "bfloat16")
    assert settled.notices == ()
    assert settled.to_mapping()["runtime"].startswith("OpenVINO 20")


def test_fast_by_the_native_runtime_is_full_precision_and_says_so(monkeypatch, tmp_path):
    cpuinfo(monkeypatch, tmp_path, "amx_bf16")
    settled = settle(Compute(precision="fast", runtime="native"), SMALL)
    assert (settled.runtime, settled.precision) == ("native", "float32")
    assert "the native runtime has full precision only" in settled.notices[0]


@pytest.mark.parametrize(
    ("asked", "option"),
    [(Compute(runtime="openvino"), "--runtime openvino"), (Compute(precision="fast"), "fast")],
)
def test_a_missing_runtime_is_named_with_the_command_that_installs_it(
    monkeypatch, tmp_path, asked, option
):
    cpuinfo(monkeypatch, tmp_path, "amx_bf16")
    monkeypatch.setattr(compute.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"{option}.*pip install 'drummix\[openvino\]'"):
        settle(asked, SMALL)


# The whole path.


def test_the_mix_says_what_it_used_and_any_runtime_gives_the_same(tmp_path):
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    takes = write_session(tmp_path / "takes", 1.0, np.random.default_rng(0))
    mixes = {}
    for asked in (Compute(threads=1), Compute(threads=2, runtime="openvino", memory_mb=900.0)):
        mixed = mix_to_file(takes, tmp_path / "mix.wav", compute=asked)
        used = mixed.settings["mixer"]
        mixes[used["runtime"].split()[0].strip(",")] = (tmp_path / "mix.wav").read_bytes()
        assert used["precision"] == "float32"
        assert used["threads"] == asked.threads
        assert used["hop_frames"] % 1024 == 0
    native, openvino = (
        np.frombuffer(mixes[name][-3 * 60_000 :], np.uint8).reshape(-1, 3).astype(np.int32)
        for name in ("native", "OpenVINO")
    )
    steps = (native - openvino) @ np.array([1, 256, 65536])
    # Two float32 networks: steps of 24 bits are -138 dB, and the mix's peak is about -1 dB.
    wrapped = (steps + (1 << 23)) % (1 << 24) - (1 << 23)
    assert np.abs(wrapped).max() < 100


def test_the_command_takes_the_options_and_says_what_cannot_be_had(tmp_path):
    takes = write_session(tmp_path / "takes", 0.6, np.random.default_rng(0))
    command = ["mix", str(takes), "-o", str(tmp_path / "mix.wav")]
    ran = CliRunner().invoke(app, [*command, "--memory", "50", "--threads", "1"])
    assert ran.exit_code == 1
    assert "--memory is 50 MB; this network takes" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    ran = CliRunner().invoke(app, [*command, "--precision", "half"])
    assert ran.exit_code == 1
    assert "precision is 'half'; use full or fast" in ran.stderr
    ran = CliRunner().invoke(app, [*command, "--precision", "fast", "--runtime", "native"])
    assert ran.exit_code == 0
