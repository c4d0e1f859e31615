"""From a session to a finished mix: level, files, memory, and nothing left behind."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

import drummix
import made
from drummix.audio import Audio, probe, read, remove_leftovers, write
from drummix.errors import (
    AudioFileError,
    DrummixError,
    OutputError,
    SessionError,
    SettingError,
    WeightsError,
)
from drummix.levels import GatedLoudness, db_to_gain, integrated_lufs, true_peak_dbtp
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.compute import MOST_HOP_FRAMES, Compute
from drummix.mixers.weights import parameter_shapes, write_model
from drummix.mixing import DEFAULT_CEILING_DBTP, mix, mix_to_file
from drummix.mixing import run as run_module
from drummix.mixing.scratch import Scratch
from drummix.notices import Code
from drummix.roles import PAPER_ROLES
from drummix.session import open_session
from made import codes

RATE_HZ = 44_100
MICROPHONES = ("Kick", "Snare", "HH", "Rack Tom", "Mid Tom", "Floor Tom", "OH L", "OH R")


def noise(n_samples, seed=0, level=0.1, channels=1):
    rng = np.random.default_rng(seed)
    return level * rng.standard_normal((channels, n_samples), dtype=np.float32)


def write_takes(folder: Path, n_samples=RATE_HZ, rate_hz=RATE_HZ, level=0.1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(MICROPHONES):
        write(folder / f"{name}.wav", Audio(noise(n_samples, seed, level), rate_hz))
    return folder


@pytest.fixture
def takes(tmp_path) -> Path:
    return write_takes(tmp_path / "takes")


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small network that passes the stems through: kick and snare left, the rest right."""
    config = WaveUNetConfig(levels=3, filters=2)
    tensors = {
        name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(config).items()
    }
    tensors["output.weight"][0, :2, 0] = 1.0
    tensors["output.weight"][1, 2:8, 0] = 1.0
    card = made.model_card(config)
    return write_model(tmp_path_factory.mktemp("models"), "through", tensors, card)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The public call.


def test_a_folder_becomes_a_mix_by_the_network(takes, weights):
    stems = {path.stem: read(path).samples[0] for path in takes.iterdir()}
    made = drummix.mix(takes, weights=weights, true_peak_dbtp=0.0)
    assert made.audio.rate_hz == RATE_HZ
    gain = db_to_gain(made.settings["level"]["gain_db"])
    left = gain * (stems["Kick"] + stems["Snare"])
    np.testing.assert_allclose(made.audio.samples[0], left, atol=2e-5)


def test_file_and_memory_give_the_same_mix(takes, out, weights):
    in_memory = mix(takes, weights=weights)
    report = mix_to_file(takes, out / "mix.wav", weights=weights)
    assert report.path == out / "mix.wav"
    assert report.settings == in_memory.settings
    assert report.notices == in_memory.notices
    in_file = read(out / "mix.wav").samples
    # 24 bits: half a step is 2^-24.
    np.testing.assert_allclose(in_file, in_memory.audio.samples, atol=2.0**-24)


def test_mix_is_24_bit_at_the_sessions_rate_and_as_long(tmp_path, out, weights):
    takes = write_takes(tmp_path / "takes", n_samples=12_345, rate_hz=48_000)
    info = probe(mix_to_file(takes, out / "mix.wav", weights=weights).path)
    assert (info.rate_hz, info.n_channels, info.n_samples) == (48_000, 2, 12_345)
    assert (info.format, info.subtype) == ("WAV", "PCM_24")


@pytest.mark.parametrize("suffix", [".flac", ".aiff", ".ogg", ".mp3"])
def test_the_suffix_chooses_the_container(takes, out, suffix):
    path = mix_to_file(takes, out / f"mix{suffix}", system="unity").path
    assert read(path).n_channels == 2
    assert names_in(out) == [f"mix{suffix}"]


def test_arrays_in_arrays_out():
    stems = {"kick": Audio(noise(2000), RATE_HZ), "overhead_left": Audio(noise(2000, 1), RATE_HZ)}
    made = mix(stems, system="unity")
    left = stems["kick"].samples[0] + stems["overhead_left"].samples[0]
    np.testing.assert_allclose(made.audio.samples[0], left, atol=1e-6)
    np.testing.assert_allclose(made.audio.samples[1], stems["kick"].samples[0], atol=1e-6)


def test_a_saved_mix_is_what_it_was(tmp_path):
    made = mix({"kick": Audio(noise(500), RATE_HZ)}, system="unity")
    assert made.save(tmp_path / "mix.wav", subtype="FLOAT") == tmp_path / "mix.wav"
    np.testing.assert_array_equal(read(tmp_path / "mix.wav").samples, made.audio.samples)


def test_settings_are_plain_data_that_say_everything(takes, out, weights):
    report = mix_to_file(takes, out / "mix.wav", weights=weights, settings_path=out / "mix.json")
    written = json.loads((out / "mix.json").read_text(encoding="utf-8"))
    assert written == report.settings
    assert written["system"] == "waveunet-wet"
    assert len(written["mixer"]["model"]["sha256"]) == 64
    assert [stem["role"] for stem in written["session"]["stems"]] == [r.value for r in PAPER_ROLES]
    assert written["drummix"] == drummix.__version__


def test_the_same_session_gives_the_same_bytes(takes, out, weights):
    first = mix_to_file(takes, out / "a.wav", weights=weights).path.read_bytes()
    assert mix_to_file(takes, out / "b.wav", weights=weights).path.read_bytes() == first


def test_progress_goes_to_the_end_of_each_step(takes, out, weights):
    calls = []
    mix_to_file(takes, out / "mix.wav", weights=weights, progress=lambda *c: calls.append(c))
    assert [call[0] for call in calls] == sorted(
        (c[0] for c in calls), key=["mixing", "writing"].index
    )
    for step in ("mixing", "writing"):
        done = [n_done for what, n_done, _ in calls if what == step]
        assert done == sorted(done)
        assert done[-1] == RATE_HZ


def test_role_and_system_options_reach_the_session_and_the_mixer(takes, out):
    (takes / "Kick.wav").rename(takes / "take 3.wav")
    report = mix_to_file(takes, out / "m.wav", system="unity", roles={"kick": "take 3.wav"})
    sources = {stem["role"]: stem["source"] for stem in report.settings["session"]["stems"]}
    assert sources["kick"] == "take 3.wav"
    assert report.settings["system"] == "unity"


# Level.


def test_a_mix_that_would_exceed_the_ceiling_is_turned_down_and_says_so(tmp_path, out):
    takes = write_takes(tmp_path / "takes", level=0.3)
    report = mix_to_file(takes, out / "mix.wav", system="unity")
    samples = read(out / "mix.wav").samples
    assert true_peak_dbtp(samples, RATE_HZ) == pytest.approx(DEFAULT_CEILING_DBTP, abs=0.01)
    [notice] = [notice for notice in report.notices if notice.code is Code.TURNED_DOWN]
    gain_db = report.settings["level"]["gain_db"]
    assert notice.values["gain_db"] == pytest.approx(gain_db, abs=1e-3)


def test_a_quiet_mix_is_left_as_it_is(tmp_path):
    takes = write_takes(tmp_path / "takes", level=0.001)
    made = mix(takes, system="unity")
    assert made.settings["level"]["gain_db"] == 0.0
    assert codes(made.notices) == {Code.FILE_LOW_LEVEL}


@pytest.mark.parametrize("ceiling_dbtp", [-20.0, -3.0, 0.0])
def test_true_peak_is_a_ceiling(takes, ceiling_dbtp):
    made = mix(takes, system="unity", lufs=0.0, true_peak_dbtp=ceiling_dbtp)
    peak_dbtp = true_peak_dbtp(made.audio.samples, RATE_HZ)
    assert peak_dbtp == pytest.approx(ceiling_dbtp, abs=0.01)


@pytest.mark.parametrize("lufs", [-40.0, -23.0])
def test_loudness_is_set_where_the_ceiling_allows(takes, lufs):
    made = mix(takes, system="unity", lufs=lufs)
    assert integrated_lufs(made.audio.samples, RATE_HZ) == pytest.approx(lufs, abs=0.01)
    assert made.settings["level"]["lufs"] == pytest.approx(lufs, abs=0.01)
    assert made.notices == ()


def uneven_take(level_db):
    """Strokes of noise, every other 8 dB quieter, with rests between them."""
    rng = np.random.default_rng(0)
    samples = np.zeros((1, 20 * RATE_HZ), np.float32)
    for second in range(20):
        stroke = rng.standard_normal(RATE_HZ // 2) * (0.1 if second % 2 else 0.04)
        samples[0, second * RATE_HZ :][: RATE_HZ // 2] = stroke * 10 ** (level_db / 20)
    return {"snare": Audio(samples, RATE_HZ)}


@pytest.mark.parametrize("level_db", [0.0, -30.0, -50.0, -60.0, -80.0])
@pytest.mark.parametrize("lufs", [-69.9, -69.0, -67.0, -64.0, -60.0, -50.0, -30.0, -14.0, -6.0])
def test_loudness_is_met_or_told_as_another_meter_reads_it(lufs, level_db):
    """The gate at -70 LUFS does not move with the gain: a quiet mix came out 4 LU from it."""
    made = mix(uneven_take(level_db), system="unity", lufs=lufs, true_peak_dbtp=0.0)
    meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
    reached = meter.integrated_loudness(made.audio.samples.T.astype(np.float64))
    told = made.settings["level"]["lufs"]
    assert told == pytest.approx(reached, abs=0.1)
    if lufs > -10:  # full scale stands in the way
        assert Code.LOUDNESS_LIMITED in codes(made.notices)
    else:
        assert codes(made.notices) <= {Code.FILE_LOW_LEVEL, Code.FILE_SILENT}
        assert reached == pytest.approx(lufs, abs=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_a_gain_is_found_for_every_loudness(seed):
    """Whatever the blocks are like: checked by metering what was made louder."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-90.0, 0.0, rng.integers(2, 60))
    samples = np.repeat(10 ** (steps / 20), RATE_HZ // 5) * rng.standard_normal(
        len(steps) * (RATE_HZ // 5)
    )
    meter = GatedLoudness(RATE_HZ, 1)
    meter.add(samples[np.newaxis])
    for lufs in [-69.99, *rng.uniform(-70.0, 0.0, 20)]:
        gain_db = meter.gain_db_for(lufs)
        assert meter.integrated_lufs(gain_db) == pytest.approx(lufs, abs=1e-6)
        louder = samples[np.newaxis] * db_to_gain(gain_db)
        assert integrated_lufs(louder, RATE_HZ) == pytest.approx(lufs, abs=0.01)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_the_default_ceiling_leaves_room_for_what_a_lossy_file_decodes_to(tmp_path, suffix):
    made = mix_to_file(uneven_take(20.0), tmp_path / f"mix{suffix}", system="unity")
    assert made.settings["level"]["true_peak_dbtp"] == pytest.approx(DEFAULT_CEILING_DBTP)
    decoded = read(tmp_path / f"mix{suffix}")
    assert DEFAULT_CEILING_DBTP - 1.0 < true_peak_dbtp(decoded.samples, RATE_HZ) < 0.0


def test_loudness_out_of_reach_is_said_with_what_was_reached(takes):
    made = mix(takes, system="unity", lufs=-2.0)
    reached = integrated_lufs(made.audio.samples, RATE_HZ)
    assert reached < -2.0
    assert true_peak_dbtp(made.audio.samples, RATE_HZ) == pytest.approx(-1.0, abs=0.01)
    [notice] = made.notices
    assert notice.code is Code.LOUDNESS_LIMITED
    assert notice.values["lufs"] == pytest.approx(reached, abs=0.05)


@pytest.mark.parametrize("n_samples", [1000, RATE_HZ])
def test_silence_and_snippets_have_no_loudness_and_say_so(n_samples):
    silent = {"kick": Audio(np.zeros((1, n_samples), np.float32), RATE_HZ)}
    made = mix(silent, system="unity", lufs=-16.0)
    assert made.settings["level"]["lufs"] is None
    assert not made.audio.samples.any()
    assert made.notices[-1].code is Code.LOUDNESS_UNKNOWN


# What is no mix.


def write_loud_model(folder: Path, weight: float) -> Path:
    config = WaveUNetConfig(levels=3, filters=2)
    shapes = parameter_shapes(config).items()
    tensors = {name: np.full(shape, weight, np.float32) for name, shape in shapes}
    return write_model(folder, "loud", tensors, made.model_card(config))


def assert_refused_with_nothing_written(takes, out, *words, **options):
    for work in (
        lambda: mix(takes, **options),
        lambda: mix_to_file(takes, out / "m.wav", settings_path=out / "m.json", **options),
    ):
        with pytest.raises(DrummixError) as caught:
            work()
        assert "\n" not in str(caught.value)
        for word in words:
            assert word in str(caught.value)
        assert names_in(out) == []


@pytest.mark.parametrize("lufs", [None, -16.0])
def test_a_network_that_gives_no_numbers_is_refused_with_the_system_and_the_time(
    takes, out, tmp_path, lufs
):
    weights = write_loud_model(tmp_path / "models", 65504.0)
    words = ("by waveunet-wet holds a sample", "at 0.000 s")
    assert_refused_with_nothing_written(takes, out, *words, weights=weights, lufs=lufs)


@pytest.mark.parametrize("system", ["unity", "anchor", "waveunet-wet"])
def test_tracks_at_the_end_of_floats_are_refused_by_name_and_time(tmp_path, out, weights, system):
    takes = write_takes(tmp_path / "takes")
    samples = noise(RATE_HZ)
    samples[0, RATE_HZ // 2] = -3e38
    write(takes / "OH L.wav", Audio(samples, RATE_HZ), subtype="FLOAT")
    options = {"weights": weights} if system == "waveunet-wet" else {"system": system}
    words = ("OH L.wav", "-3e+38, which is no sound", "at 0.500 s")
    assert_refused_with_nothing_written(takes, out, *words, **options)
    with pytest.raises(AudioFileError, match=r"kick holds a sample of -3e\+38"):
        mix({"kick": Audio(samples, RATE_HZ)}, system="unity")


@pytest.mark.parametrize("system", ["unity", "anchor", "waveunet-wet"])
def test_whole_numbers_of_32_bits_as_floats_are_turned_down(tmp_path, weights, system):
    takes = write_takes(tmp_path / "takes")
    for path in takes.iterdir():
        write(path, Audio(read(path).samples * 2.0**31, RATE_HZ), subtype="FLOAT")
    options = {"weights": weights} if system == "waveunet-wet" else {"system": system}
    made = mix(takes, **options)
    assert true_peak_dbtp(made.audio.samples, RATE_HZ) == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize("rate_hz", [1000, 3000, 7999])
@pytest.mark.parametrize("lufs", [None, -16.0])
def test_a_session_below_8_khz_is_refused(tmp_path, out, rate_hz, lufs):
    takes = write_takes(tmp_path / "takes", rate_hz=rate_hz, n_samples=rate_hz)
    words = (f"takes has a rate of {rate_hz} Hz", "at least 8000 Hz")
    assert_refused_with_nothing_written(takes, out, *words, system="unity", lufs=lufs)


def test_a_session_of_8_khz_has_its_loudness_set(tmp_path):
    takes = write_takes(tmp_path / "takes", rate_hz=8000, n_samples=8000, level=0.02)
    made = mix(takes, system="unity", lufs=-30.0)
    assert integrated_lufs(made.audio.samples, 8000) == pytest.approx(-30.0, abs=0.01)


def test_a_mix_that_does_not_fit_into_memory_is_one_line(takes, monkeypatch):
    session = open_session(takes)
    endless = replace(session, n_samples=1 << 60)
    monkeypatch.setattr(run_module, "open_session", lambda source, roles: endless)
    with pytest.raises(SessionError, match="does not fit into memory"):
        mix(takes, system="unity")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"lufs": 3.0}, "lufs"),
        ({"lufs": -80.0}, "lufs"),
        ({"lufs": float("nan")}, "lufs"),
        ({"true_peak_dbtp": 1.0}, "true_peak_dbtp"),
        ({"true_peak_dbtp": -90.0}, "true_peak_dbtp"),
        ({"true_peak_dbtp": float("nan")}, "true_peak_dbtp"),
    ],
)
def test_levels_out_of_range_are_refused_before_any_work(tmp_path, options, word):
    with pytest.raises(SettingError, match=word):
        mix(tmp_path / "not there", **options)


# Targets.


def test_target_among_the_tracks_is_refused(takes):
    before = names_in(takes)
    with pytest.raises(OutputError, match="inside the session's folder"):
        mix_to_file(takes, takes / "mix.wav", system="unity")
    assert names_in(takes) == before


def test_a_link_to_a_track_is_no_target(takes, out):
    (out / "mix.wav").symlink_to(takes / "Kick.wav")
    kick = (takes / "Kick.wav").read_bytes()
    with pytest.raises(OutputError):
        mix_to_file(takes, out / "mix.wav", system="unity")
    assert (takes / "Kick.wav").read_bytes() == kick


def test_a_track_of_a_mapping_is_no_target(takes):
    kick = takes / "Kick.wav"
    before = kick.read_bytes()
    with pytest.raises(OutputError, match="is a track of the session"):
        mix_to_file({"kick": kick}, kick, system="unity")
    assert kick.read_bytes() == before


@pytest.mark.parametrize("name", ["mix", "mix.txt", "mix.m4a"])
def test_an_unknown_output_suffix_is_refused_before_any_work(takes, out, name):
    with pytest.raises(SettingError, match="use one of"):
        mix_to_file(takes, out / name, system="unity")
    assert names_in(out) == []


def test_a_missing_folder_is_named(takes, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        mix_to_file(takes, tmp_path / "nowhere" / "mix.wav", system="unity")


def mounted_disk(folder: Path, options: str) -> bool:
    """Mount a small disk, where the tests run as a user who may."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_an_unwritable_folder_is_named(takes, out):
    is_mounted = os.geteuid() == 0 and mounted_disk(out, "ro,size=100k")
    if not is_mounted:
        out.chmod(0o500)
    if os.access(out, os.W_OK):
        pytest.skip("root may write anywhere, and no read-only disk can be mounted")
    try:
        with pytest.raises(OutputError, match=r"mix\.wav cannot be written"):
            mix_to_file(takes, out / "mix.wav", system="unity")
    finally:
        if is_mounted:
            subprocess.run(["umount", str(out)], check=True)


def test_settings_go_to_json_only(takes, out):
    with pytest.raises(SettingError, match=r"\.json"):
        mix_to_file(takes, out / "m.wav", system="unity", settings_path=takes / "session.toml")
    assert names_in(out) == []
    assert not (takes / "session.toml").exists()


def test_settings_that_cannot_be_written_leave_no_mix(takes, out, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        mix_to_file(takes, out / "m.wav", system="unity", settings_path=tmp_path / "no" / "m.json")
    assert names_in(out) == []


# What goes wrong on the way leaves nothing behind.


def test_weights_that_are_damaged_leave_nothing(takes, out, weights, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in weights.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    stored = bytearray((broken / "model.safetensors").read_bytes())
    stored[-1] ^= 1
    (broken / "model.safetensors").write_bytes(stored)
    with pytest.raises(WeightsError, match="sha256"):
        mix_to_file(takes, out / "mix.wav", weights=broken)
    assert names_in(out) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_no_number_leaves_nothing_and_the_old_mix(takes, out, weights, value):
    samples = noise(RATE_HZ)
    samples[0, 30_000] = value
    soundfile.write(takes / "Kick.wav", samples.T, RATE_HZ, subtype="FLOAT")
    (out / "mix.wav").write_bytes(b"the old mix")
    with pytest.raises(AudioFileError, match=r"Kick\.wav.*0\.680 s"):
        mix_to_file(takes, out / "mix.wav", weights=weights, settings_path=out / "mix.json")
    assert names_in(out) == ["mix.wav"]
    assert (out / "mix.wav").read_bytes() == b"the old mix"


@pytest.mark.parametrize("step", ["mixing", "writing"])
def test_an_interrupt_leaves_nothing(takes, out, step):
    def interrupt(what, n_done, n_samples):
        if what == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix_to_file(takes, out / "mix.wav", system="unity", progress=interrupt)
    assert names_in(out) == []


def test_a_disk_that_fills_up_while_mixing_is_one_clear_error(takes, out, monkeypatch):
    class FullDisk:
        def write(self, stored):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            pass

    monkeypatch.setattr(
        "drummix.mixing.scratch.tempfile.TemporaryFile", lambda **options: FullDisk()
    )
    with pytest.raises(OutputError, match=r"mix\.wav cannot be written: No space left.*free"):
        mix_to_file(takes, out / "mix.wav", system="unity")
    assert names_in(out) == []


# The scratch file of 1 s takes 353 kB and the mix 265 kB: the first disk is full while mixing, the
# second while writing.
@pytest.mark.parametrize("size", ["200k", "500k"])
def test_a_disk_that_is_really_full_leaves_nothing(takes, tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mounted_disk(disk, f"size={size}"):
        pytest.skip("a small disk can be mounted by root only")
    try:
        with pytest.raises(OutputError, match="free space"):
            mix_to_file(takes, disk / "mix.wav", system="unity")
        assert names_in(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


KILLED = """
    import sys
    from pathlib import Path
    from drummix.mixing import mix_to_file
    def wait(what, n_done, n_samples):
        if what == sys.argv[3]:
            print("there", flush=True)
            sys.stdin.read()
    mix_to_file(Path(sys.argv[1]), Path(sys.argv[2]), system="unity", progress=wait)
"""


@pytest.mark.parametrize("step", ["mixing", "writing"])
def test_a_kill_leaves_a_hidden_file_that_the_next_run_removes(takes, out, step):
    target = out / "mix.wav"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(takes), str(target), step],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    remove_leftovers(out)
    [running] = names_in(out)
    assert running.startswith(".mix.")
    assert ".partial" in running
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert names_in(out) == [running]
    mix_to_file(takes, target, system="unity")
    assert names_in(out) == ["mix.wav"]


def test_settings_that_a_kill_left_unfinished_are_removed_too(takes, out):
    left = made.leave_behind(out / "mix.json")
    remove_leftovers(out)
    assert not left.exists()


def test_scratch_gives_back_what_it_was_given_in_any_blocks(tmp_path):
    blocks = [noise(n, n, channels=2) for n in (1, 1000, 3)]
    with Scratch(tmp_path / "mix.wav") as scratch:
        assert names_in(tmp_path) == []
        for block in blocks:
            scratch.append(block)
        for size in (1, 7, 5000):
            back = np.concatenate(list(scratch.blocks(size)), axis=1)
            np.testing.assert_array_equal(back, np.concatenate(blocks, axis=1))
    assert names_in(tmp_path) == []


# Memory and imports.


def test_memory_does_not_grow_with_the_length(tmp_path, out, weights):
    """Peak of what Python and NumPy hold, for a session and one four times as long."""
    peaks = {}
    for threads in (1, 2):
        for seconds in (20, 80):
            takes = write_takes(tmp_path / f"takes{seconds}", n_samples=seconds * RATE_HZ)
            compute = Compute(threads=threads)
            tracemalloc.start()
            mix_to_file(takes, out / "mix.wav", weights=weights, compute=compute)
            peaks[threads, seconds] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    # 80 s of eight stems are 113 MB; the small network's maps of 262,144 frames are under 90.
    assert max(peaks.values()) < 90e6
    assert peaks[1, 80] < peaks[1, 20] * 1.05
    # A second thread has its own scratch, 10 MB (docs/performance.md), and blocks lie ahead, two on
    # each side of the network: how many at the peak is chance, never more than four of eight stems.
    more = 10e6 + 4 * MOST_HOP_FRAMES * 8 * 4
    assert max(peaks[2, 20], peaks[2, 80]) < peaks[1, 20] * 1.05 + more


def test_importing_drummix_is_light_and_the_public_names_are_there():
    code = (
        "import sys, drummix; heavy = {'torch', 'onnxruntime', 'matplotlib', 'scipy', 'soundfile'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    for name in drummix.__all__:
        assert getattr(drummix, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'mixx'"):
        _ = drummix.mixx


def test_mixing_by_the_plain_sum_loads_neither_torch_nor_the_runtime(takes, out):
    code = (
        "import sys, drummix; drummix.mix_to_file(sys.argv[1], sys.argv[2], system='unity');"
        "print(sorted({'torch', 'onnxruntime', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(takes), str(out / "mix.wav")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
