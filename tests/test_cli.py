"""The command line as a person meets it: results, one-line errors, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import made
from drummix.audio import Audio, probe, write
from drummix.cli import app
from drummix.cli import output as cli_output
from drummix.cli.inspect import report_lines
from drummix.inspection import inspect_session
from drummix.mixers import weights
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.registry import SYSTEMS
from drummix.mixers.weights import parameter_shapes, write_model

RATE_HZ = 44_100


def noise(n_samples=RATE_HZ // 2, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((channels, n_samples), dtype=np.float32)


def take(folder: Path, name: str, seed=0, *, rate_hz=RATE_HZ, channels=1, subtype="PCM_24"):
    folder.mkdir(parents=True, exist_ok=True)
    audio = Audio(noise(rate_hz // 2, seed, channels), rate_hz)
    write(folder / name, audio, subtype=subtype)


@pytest.fixture
def takes(tmp_path) -> Path:
    for seed, name in enumerate(("Kick.wav", "Snare.wav", "HH.wav", "OH L.wav", "OH R.wav")):
        take(tmp_path / "takes", name, seed)
    return tmp_path / "takes"


@pytest.fixture(scope="module")
def shipped_folder(tmp_path_factory) -> Path:
    config = WaveUNetConfig(levels=3, filters=2)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=shape, scale=0.1).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    folder = tmp_path_factory.mktemp("shipped")
    for target in ("dry", "wet"):
        card = made.model_card(config, target)
        write_model(folder, f"waveunet-{target}", tensors, card)
    return folder


@pytest.fixture
def shipped(shipped_folder, monkeypatch) -> Path:
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", shipped_folder)
    return shipped_folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(tmp_path, *arguments) -> str:
    """Run a command that must fail with one line and change nothing under `tmp_path`."""
    before = tree(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("drummix: ")
    assert tree(tmp_path) == before
    return line


# Results.


def test_mix_prints_the_path_and_nothing_else_on_stdout(takes, tmp_path, shipped):
    result = run("mix", takes, "-o", tmp_path / "mix.wav")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'mix.wav'}\n"
    assert probe(tmp_path / "mix.wav").n_channels == 2
    assert "mixed 0.5 s of 5 microphones by waveunet-wet" in result.stderr
    assert "note: no microphone for tom_mid, tom_low, tom_mid_low" in result.stderr


def test_mix_as_json_is_the_settings_and_the_notices(takes, tmp_path):
    result = run("mix", takes, "-o", tmp_path / "m.flac", "--system", "unity", "--json")
    printed = json.loads(result.stdout)
    assert printed["path"] == str(tmp_path / "m.flac")
    assert printed["settings"]["system"] == "unity"
    assert isinstance(printed["notices"], list)


def test_every_option_of_mix_reaches_the_settings(takes, tmp_path, shipped):
    (takes / "Kick.wav").rename(takes / "take 3.wav")
    result = run(
        "mix", takes, "-o", tmp_path / "m.wav", "--system", "waveunet-dry",
        "--role", "kick=take 3.wav", "--lufs", "-30", "--true-peak", "-2",
        "--settings", tmp_path / "m.json", "--paper-segments", "--as-recorded",
        "--weights", shipped / "waveunet-wet",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    settings = json.loads((tmp_path / "m.json").read_text())
    assert settings["system"] == "waveunet-dry"
    assert settings["session"]["stems"][0]["source"] == "take 3.wav"
    assert settings["level"]["wanted_lufs"] == -30.0
    assert settings["level"]["ceiling_dbtp"] == -2.0
    assert settings["mixer"]["segments"] == "paper"
    assert settings["mixer"]["model"]["name"] == "waveunet-wet"
    assert "trained for a wet mix" in result.stderr


def test_a_real_session_needs_no_option(tmp_path, shipped):
    """Mixed rates, stereo overheads, kick in and out, snare top and bottom, rooms, a silent mic."""
    folder = tmp_path / "My Song (take 2), Größe"
    take(folder, "01_Kick In.wav", 1, rate_hz=48_000)
    take(folder, "02_Kick Out.flac", 2, rate_hz=48_000)
    take(folder, "03 SN Top.wav", 3, rate_hz=48_000, subtype="PCM_16")
    take(folder, "04 Snr Bot.aif", 4, rate_hz=48_000)
    take(folder, "05-HH.mp3", 5, rate_hz=44_100)
    take(folder, "Rack 1.wav", 6, rate_hz=48_000, subtype="FLOAT")
    take(folder, "Floor Tom.ogg", 7, rate_hz=48_000)
    take(folder, "Overheads.wav", 8, rate_hz=48_000, channels=2)
    take(folder, "Room.wav", 9, rate_hz=96_000, channels=2)
    write(folder / "Ride.wav", Audio(np.zeros((1, 24_000), np.float32), 48_000))
    assert run("inspect", folder).exit_code == 0
    result = run("mix", folder, "-o", tmp_path / "mix.wav")
    assert result.exit_code == 0, result.stderr
    info = probe(tmp_path / "mix.wav")
    assert (info.rate_hz, info.subtype) == (48_000, "PCM_24")
    assert info.n_samples >= 24_000
    for said in (
        'kick = "01_Kick In.wav" + "02_Kick Out.flac" (-6 dB)',
        "polarity inverted",
        "Ride",
    ):
        assert said in result.stderr


def test_inspect_shows_every_file_with_its_role(takes):
    result = run("inspect", takes)
    assert result.exit_code == 0
    for name, role in (("Kick.wav", "kick"), ("OH L.wav", "overhead_left")):
        [line] = [line for line in result.stdout.splitlines() if line.startswith(name)]
        assert role in line


def test_inspect_as_json_is_plain_data(takes):
    reports = json.loads(run("inspect", takes, "--json").stdout)
    assert [report["name"] for report in reports] == sorted(path.name for path in takes.iterdir())
    assert reports[1]["roles"] == ["kick"]


def test_inspect_takes_roles_and_says_what_is_wrong(takes):
    (takes / "Kick.wav").rename(takes / "take 3.wav")
    (takes / "Snare.wav").write_text("no sound")

    def found(*options):
        reports = json.loads(run("inspect", takes, "--json", *options).stdout)
        return {finding["code"] for report in reports for finding in report["findings"]}

    assert "role_unknown" in found()
    assert found("--role", "kick=take 3.wav") == {"file_unreadable"}


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_inspect_fits_the_terminal(takes, columns):
    take(takes, "A very long name that somebody gave to the floor tom of this take.wav", 7)
    write(takes / "Ride.wav", Audio(np.zeros((1, 100), np.float32), RATE_HZ))
    lines = report_lines(inspect_session(takes), columns)
    assert max(len(line) for line in lines) <= columns
    text = " ".join(" ".join(lines).split())
    for shown in ("Kick.wav", "tom_low", "-8", "silent", "Ride.wav"):
        assert shown in text


def test_systems_lists_what_mixes(shipped):
    result = run("systems")
    assert result.stdout.startswith("waveunet-wet (default)\n")
    named = [system["name"] for system in json.loads(run("systems", "--json").stdout)]
    assert named[:2] == ["waveunet-wet", "waveunet-dry"]
    assert named == list(SYSTEMS)
    assert "not ready" not in result.stdout


def test_systems_says_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path)
    assert run("systems").stdout.count("not ready") == 2


def test_version_is_the_installed_one():
    import drummix

    assert run("--version").stdout == f"drummix {drummix.__version__}\n"


def test_help_and_version_load_nothing_heavy():
    code = (
        "import sys; from drummix import cli;"
        "print(sorted({'scipy', 'numpy', 'onnxruntime', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# Usage.


@pytest.mark.parametrize(
    "arguments",
    [
        ("mix", "takes"),
        ("mix", "takes", "-o", "m.wav", "--lufs", "loud"),
        ("mix", "takes", "-o", "m.wav", "--loudness", "-14"),
        ("mix", "takes", "-o", "m.wav", "--role", "snare"),
        ("mix", "takes", "-o", "m.wav", "--role", "=a.wav"),
        ("inspect",),
        ("demo", "--seed", "-1"),
        ("blend",),
        (),
    ],
)
def test_wrong_usage_exits_with_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == "" or arguments == ()


# What is wrong with the input: one line, exit 1, nothing left behind.


def test_a_missing_folder(tmp_path):
    line = refused(tmp_path, "mix", tmp_path / "nowhere", "-o", tmp_path / "m.wav")
    assert "nowhere does not exist" in line


def test_an_empty_folder(tmp_path):
    (tmp_path / "takes").mkdir()
    line = refused(tmp_path, "mix", tmp_path / "takes", "-o", tmp_path / "m.wav")
    assert "is empty" in line


def test_a_folder_without_sound(tmp_path):
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "notes.txt").write_text("take 2 was better")
    line = refused(tmp_path, "mix", tmp_path / "takes", "-o", tmp_path / "m.wav")
    assert "no sound files" in line


def test_a_text_file_named_wav(takes, tmp_path):
    (takes / "Kick.wav").write_text("not a sound")
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")
    assert "Kick.wav is not a sound file" in line


def test_a_wav_that_was_cut_off(takes, tmp_path):
    whole = (takes / "Kick.wav").read_bytes()
    (takes / "Kick.wav").write_bytes(whole[: len(whole) // 2])
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")
    assert "Kick.wav is cut off" in line


def test_a_file_of_no_bytes(takes, tmp_path):
    (takes / "Kick.wav").write_bytes(b"")
    assert "empty (0 bytes)" in refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")


def test_a_file_of_no_samples(takes, tmp_path):
    soundfile.write(takes / "Kick.wav", np.zeros((0, 1)), RATE_HZ)
    assert "holds no samples" in refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number(takes, tmp_path, value):
    samples = noise()
    samples[0, 20_000] = value
    soundfile.write(takes / "Kick.wav", samples.T, RATE_HZ, subtype="FLOAT")
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--system", "unity")
    assert "not a number" in line


def test_two_files_of_one_role(takes, tmp_path):
    take(takes, "Kick 1.wav")
    take(takes, "BD.wav")
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")
    assert "kick" in line
    assert "--role" in line


def test_a_name_that_says_nothing(takes, tmp_path):
    take(takes, "Audio 07.wav")
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")
    assert "Audio 07.wav" in line
    assert "--role" in line


def test_an_unknown_role(takes, tmp_path):
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--role", "snair=Snare.wav")
    assert "snair" in line


def test_a_role_for_a_file_that_is_not_there(takes, tmp_path):
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--role", "snare=Snar.wav")
    assert 'did you mean "Snare.wav"' in line


def test_a_file_of_five_channels(takes, tmp_path):
    soundfile.write(takes / "Room.wav", noise(channels=5).T, RATE_HZ)
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")
    assert "5 channels" in line


def test_an_unknown_system(takes, tmp_path):
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--system", "wavenet-wet")
    assert "did you mean waveunet-wet" in line


def test_a_target_among_the_tracks(takes, tmp_path):
    line = refused(tmp_path, "mix", takes, "-o", takes / "mix.wav")
    assert "inside the session's folder" in line


def test_a_target_that_is_a_track(takes, tmp_path):
    kick = (takes / "Kick.wav").read_bytes()
    refused(tmp_path, "mix", takes, "-o", takes / "Kick.wav")
    assert (takes / "Kick.wav").read_bytes() == kick


def test_a_target_in_a_folder_that_is_not_there(takes, tmp_path):
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "no" / "m.wav", "--system", "unity")
    assert "does not exist" in line


def test_a_target_that_is_a_folder(takes, tmp_path):
    (tmp_path / "out.wav").mkdir()
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "out.wav", "--system", "unity")
    assert "is a folder" in line


@pytest.mark.parametrize("name", ["mix.docx", "mix"])
def test_a_target_of_an_unknown_kind(takes, tmp_path, name):
    assert "use one of" in refused(
        tmp_path, "mix", takes, "-o", tmp_path / name, "--system", "unity"
    )


@pytest.mark.parametrize("option", [("--lufs", "5"), ("--true-peak", "3"), ("--settings", "m.txt")])
def test_an_option_out_of_range(takes, tmp_path, option):
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--system", "unity", *option)
    assert option[0].removeprefix("--").split("-")[0] in line


def test_weights_with_another_checksum(takes, tmp_path, shipped):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (shipped / "waveunet-wet").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    with (broken / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--weights", broken)
    assert "model.safetensors is damaged: expected sha256" in line


def test_no_shipped_weights(takes, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path / "none")
    assert "--weights" in refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav")


def test_a_full_disk_while_writing(takes, tmp_path, monkeypatch):
    def write_fails(self, block):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("drummix.audio.writing.Writer.write", write_fails)
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--system", "unity")
    assert "free space" in line


def test_a_full_disk_anywhere_else_is_one_line_too(monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("drummix.mixers.registry.systems", full)
    result = run("systems")
    assert result.exit_code == 1
    assert "the disk is full (somewhere)" in result.stderr


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr("drummix.mixers.registry.systems", broken)
    assert isinstance(run("systems").exception, ZeroDivisionError)


def test_a_file_name_cannot_reach_the_terminal(takes, tmp_path):
    take(takes, "Audio \x1b[31m\nred.wav")
    result = run("mix", takes, "-o", tmp_path / "m.wav")
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in run("inspect", takes).stdout


def test_a_file_name_that_is_no_text_is_a_line(takes, tmp_path):
    (takes / "HH.wav").rename(takes / os.fsdecode(b"Room \xe4.wav"))
    line = refused(tmp_path, "mix", takes, "-o", tmp_path / "m.wav", "--system", "unity")
    assert line.endswith("Room ?.wav has a name that is no text; rename it")


# Stopped from outside, in a process of its own.

SLOW = """
import signal, sys, time
# A test run in the background inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from drummix import cli
from drummix.mixing import run
def slowly(plan, session, meter, progress, make=run._metered):
    for block in make(plan, session, meter, progress):
        yield block
        print("there", flush=True)
        time.sleep(60)
run._metered = slowly
cli.main()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_in_the_middle_leaves_nothing(takes, tmp_path, number, status):
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["mix", takes, "-o", out / "m.wav", "--system", "unity"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments, "--settings", out / "m.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    assert tree(out) != []
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert ("nothing unfinished was left behind" in stderr) == (number is signal.SIGINT)
    assert tree(out) == []


LOADING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
awaited = sys.argv.pop(1)
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == awaited:
            print("there", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from drummix.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "status", "said"),
    [
        # What ends by a signal has status 130 in a shell.
        ("drummix.cli", -signal.SIGINT, ""),
        ("drummix.cli.output", -signal.SIGINT, ""),
        ("drummix.mixing", 130, "drummix: stopped; nothing unfinished was left behind\n"),
    ],
)
def test_ctrl_c_while_modules_load_leaves_no_traceback(takes, tmp_path, module, status, said):
    arguments = ["mix", takes, "-o", tmp_path / "m.wav", "--system", "unity"]
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING, module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (status, said)


# Progress.


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with cli_output.shown_progress() as progress:
        for n_done in (0, 50, 100, 120, 200, 400):
            progress("mixing", n_done, 400)
    assert capsys.readouterr().err.splitlines() == [
        "mixing: 25%, about 30.0 s left",
        "mixing: 50%, about 20.0 s left",
    ]


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_warnings_are_coloured_on_a_terminal_unless_a_person_wants_none(
    takes, tmp_path, no_color, is_coloured
):
    write(takes / "Ride.wav", Audio(np.zeros((1, 22_050), np.float32), RATE_HZ))
    leader, follower = os.openpty()
    arguments = ["mix", takes, "-o", tmp_path / "m.wav", "--system", "unity"]
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "NO_COLOR": no_color}
    command = [sys.executable, "-m", "drummix", *arguments]
    subprocess.run(
        command, stdout=subprocess.PIPE, stderr=follower, env=environment, check=True, timeout=60
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    warning = "\x1b[33m\x1b[1mwarning:\x1b[0m" if is_coloured else "warning:"
    assert f'{warning} "Ride.wav" is silent' in shown


def test_progress_on_a_terminal_ends_with_a_clean_screen(takes, tmp_path):
    """A pseudo-terminal gets bars; stdout, a pipe, gets the path alone."""
    leader, follower = os.openpty()
    arguments = ["mix", takes, "-o", tmp_path / "m.wav", "--system", "unity"]
    process = subprocess.Popen(
        [sys.executable, "-m", "drummix", *arguments],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "COLUMNS": "60", "TERM": "xterm"},
        text=True,
    )
    os.close(follower)
    stdout, _ = process.communicate(timeout=60)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert stdout == f"{tmp_path / 'm.wav'}\n"
    assert "mixing" in shown
    assert "mixed 0.5 s" in shown
