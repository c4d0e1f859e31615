"""Threads and memory: what is asked for, what is used, and that the mix does not depend on it."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.cli import app
from drummix.errors import SettingError
from drummix.evaluation.speed import write_session
from drummix.mixers import compute
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.compute import Compute, memory_mb, resolve_compute
from drummix.mixers.registry import MixerOptions, make_mixer
from drummix.mixing import mix_to_file
from drummix.pool import allowed_cores
from drummix.pool import cores as pool_cores

PAPER = WaveUNetConfig()
SMALL = WaveUNetConfig(levels=3, filters=2)


# What is asked for.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threads": 0}, "threads is 0; expected 1 to 1024"),
        ({"memory_mb": -5.0}, "memory_mb is -5; expected more than 0 MB"),
        ({"memory_mb": float("nan")}, "memory_mb is nan"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(wrong, message):
    with pytest.raises(SettingError, match=message):
        Compute(**wrong)


def test_an_option_of_the_network_is_refused_where_there_is_none():
    for given in (Compute(threads=1), Compute(memory_mb=900.0)):
        with pytest.raises(SettingError, match=f"{next(iter(given.given()))} means nothing"):
            make_mixer("unity", MixerOptions(compute=given))
    make_mixer("unity", MixerOptions(compute=Compute()))


# Threads.


def test_default_threads_are_the_cores_that_this_process_may_use():
    assert resolve_compute(Compute(), SMALL).threads == allowed_cores()
    assert resolve_compute(Compute(threads=1), SMALL).threads == 1


def test_more_threads_than_cores_are_never_started(monkeypatch):
    monkeypatch.setattr(compute, "allowed_cores", lambda: 4)
    assert [resolve_compute(Compute(n), SMALL).threads for n in (3, 4, 64)] == [3, 4, 4]


def test_segments_do_not_depend_on_threads_and_threads_give_way_to_memory(monkeypatch):
    monkeypatch.setattr(compute, "allowed_cores", lambda: 64)
    found = [resolve_compute(Compute(n, 450.0), PAPER) for n in (1, 8, 25, 48, 64)]
    assert len({resources.hop_frames for resources in found}) == 1
    for resources in found:
        assert memory_mb(PAPER, resources.threads, resources.hop_frames) <= 450.0
    assert found[0].threads == 1


def test_a_mix_has_the_same_bytes_with_any_number_of_threads(monkeypatch, tmp_path):
    takes = write_session(tmp_path / "takes", 8.0, np.random.default_rng(0))
    monkeypatch.setattr(compute, "allowed_cores", lambda: 64)
    mixes = set()
    for threads in (1, 8, 25, 48, 64):
        mixed = mix_to_file(takes, tmp_path / "mix.wav", compute=Compute(threads=threads))
        assert mixed.settings["mixer"]["threads"] == threads
        mixes.add((tmp_path / "mix.wav").read_bytes())
    assert len(mixes) == 1


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="Linux only")
def test_affinity_limits_the_threads():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from drummix.pool import allowed_cores; print(allowed_cores())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1)])
def test_the_quota_of_a_container_limits_the_threads(monkeypatch, tmp_path, quota, cores):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cpu.max").write_text(quota + "\n")
    (tmp_path / "own").write_text("0::/job\n")
    monkeypatch.setattr(pool_cores, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(pool_cores, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(pool_cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert allowed_cores() == cores


# Memory.


def test_more_memory_makes_longer_segments_up_to_a_limit():
    hops = [
        resolve_compute(Compute(2, memory), PAPER).hop_frames
        for memory in (420.0, 450.0, 600.0, 5e3)
    ]
    assert hops == sorted(hops)
    assert hops[0] < hops[1] < hops[2] == hops[3] == compute.MOST_HOP_FRAMES
    assert all(hop % PAPER.decimation == 0 for hop in hops)


def test_the_default_stays_below_600_mb_at_the_papers_size():
    hop_frames = resolve_compute(Compute(threads=2), PAPER).hop_frames
    assert memory_mb(PAPER, 2, hop_frames) < 600.0


def test_too_little_memory_is_refused_with_the_least_that_works():
    with pytest.raises(
        SettingError, match=r"memory_mb is 100 MB; this network takes (\d+) MB"
    ) as e:
        resolve_compute(Compute(threads=1, memory_mb=100.0), PAPER)
    least_mb = float(str(e.value).split("takes ")[1].split()[0])
    assert (
        resolve_compute(Compute(threads=1, memory_mb=least_mb), PAPER).hop_frames
        >= PAPER.decimation
    )
    with pytest.raises(SettingError):
        resolve_compute(Compute(threads=1, memory_mb=least_mb - 20.0), PAPER)


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


# The whole path.


def test_the_command_takes_the_options_and_says_what_cannot_be_had(tmp_path):
    takes = write_session(tmp_path / "takes", 0.6, np.random.default_rng(0))
    command = ["mix", str(takes), "-o", str(tmp_path / "mix.wav")]
    ran = CliRunner().invoke(app, [*command, "--memory", "50", "--threads", "1"])
    assert ran.exit_code == 1
    assert "--memory is 50 MB; this network takes" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
