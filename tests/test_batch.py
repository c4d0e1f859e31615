"""Many sessions: found, mixed once, gone on with, and one that fails stops no other."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from typer.testing import CliRunner

import made
from drummix.audio import Audio, read, write
from drummix.batch import COLUMNS, mix_many, run, working
from drummix.batch.finding import RECORDS_NAME, find_sessions
from drummix.cli import app
from drummix.errors import OutputError, SessionError, SettingError, WeightsError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import parameter_shapes, write_model
from drummix.mixing import MixOptions, OutputLevel, mix_to_file

RATE_HZ = 44_100
N_SAMPLES = 20_000
"""Longer than the 0.4 s that a loudness takes."""
MICROPHONES = ("Kick", "Snare", "HH", "Rack Tom", "Mid Tom", "Floor Tom", "OH L", "OH R")
UNITY = MixOptions(system="unity")


def write_session(folder: Path, *, seed: int = 0, n_samples: int = N_SAMPLES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in MICROPHONES:
        samples = 0.1 * rng.standard_normal((1, n_samples), dtype=np.float32)
        write(folder / f"{name}.wav", Audio(samples, RATE_HZ))
    return folder


@pytest.fixture
def sessions(tmp_path) -> Path:
    """Three sessions, one of them deep."""
    root = tmp_path / "in"
    for seed, name in enumerate(("a", "b", "deep/er/c")):
        write_session(root / name, seed=seed)
    return root


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small network of random weights: every sum in it rounds."""
    config = WaveUNetConfig(levels=3, filters=4)
    rng = np.random.default_rng(7)
    tensors = {
        name: 0.2 * rng.standard_normal(shape, dtype=np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    card = made.model_card(config)
    return write_model(tmp_path_factory.mktemp("models"), "random", tensors, card)


def statuses(batch) -> dict[str, str]:
    return {outcome.session: outcome.status for outcome in batch.outcomes}


def message_of(batch, session: str) -> str:
    [message] = [outcome.message for outcome in batch.outcomes if outcome.session == session]
    return message


def files_in(folder: Path) -> list[str]:
    """Every file below a folder but the records."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if RECORDS_NAME not in path.parts)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mix_one_by_one(sessions: Path, folder: Path, options: MixOptions) -> None:
    folder.mkdir()
    for name in ("a", "b", "deep/er/c"):
        target = folder / f"{name}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        mix_to_file(sessions / name, target, system=options.system, weights=options.weights)


def same_bytes(one: Path, other: Path) -> bool:
    names = [name for name in files_in(one) if name != "summary.csv"]
    return bool(names) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


# Which folders are sessions.


def test_mixes_keep_the_place_of_their_sessions(sessions, out):
    batch = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(batch) == {"a": "mixed", "b": "mixed", "deep/er/c": "mixed"}
    assert files_in(out) == ["a.wav", "b.wav", "deep/er/c.wav", "summary.csv"]
    assert [outcome.path for outcome in batch.outcomes] == [
        out / "a.wav",
        out / "b.wav",
        out / "deep/er/c.wav",
    ]


@pytest.mark.parametrize("name", [".hidden", "__MACOSX", "@eaDir"])
def test_folders_that_systems_make_are_passed_over(sessions, name):
    write_session(sessions / name)
    write_session(sessions / name / "inner")
    assert [found.name for found in find_sessions(sessions)] == ["a", "b", "deep/er/c"]


def test_links_are_followed_once_and_never_upwards(sessions):
    (sessions / "a" / "self").symlink_to(sessions / "a")
    (sessions / "up").symlink_to(sessions.parent)
    (sessions / "round").symlink_to(sessions / "round")
    elsewhere = write_session(sessions.parent / "elsewhere")
    (sessions / "link").symlink_to(elsewhere)
    found = [session.name for session in find_sessions(sessions)]
    assert found == ["a", "b", "deep/er/c", "link"]


def test_mixes_of_batches_are_no_sessions(sessions):
    first = mix_many(sessions, sessions / "mixes", options=UNITY, jobs=1)
    second = mix_many(sessions, sessions / "others", options=UNITY, jobs=1)
    again = mix_many(sessions, sessions / "mixes", options=UNITY, jobs=1)
    assert set(statuses(first)) == set(statuses(second)) == set(statuses(again))
    assert again.count("unchanged") == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_odd_names_are_names(tmp_path, out):
    root = tmp_path / "in"
    names = ["Song 1.5", "ünï çødé", "a\nb", "-rf", "50% [x]", "song.wav"]
    for name in names:
        write_session(root / name)
    batch = mix_many(root, out, options=UNITY, jobs=1)
    assert set(statuses(batch)) == set(names)
    assert batch.count("mixed") == len(names)
    assert {row["session"] for row in rows_of(out)} == set(names)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_is_said(tmp_path, out):
    root = tmp_path / "in"
    write_session(root / "a").rename(root / os.fsdecode(b"\xe4"))
    write_session(root / "b")
    batch = mix_many(root, out, options=UNITY, jobs=1)
    assert [outcome.status for outcome in batch.outcomes] == ["mixed", "failed"]
    assert "no text; rename it" in batch.outcomes[1].message
    assert rows_of(out)[1]["session"] == "\\udce4"


def test_a_folder_that_is_itself_a_session_is_called_by_its_name(tmp_path, out):
    root = write_session(tmp_path / "take")
    assert files_in(mix_many(root, out, options=UNITY, jobs=1).summary.parent) == [
        "summary.csv",
        "take.wav",
    ]


def test_two_sessions_never_share_a_mix(tmp_path, out):
    root = write_session(tmp_path / "take")
    write_session(root / "take", seed=1)
    batch = mix_many(root, out, options=UNITY, jobs=1)
    assert [outcome.status for outcome in batch.outcomes] == ["mixed", "failed"]
    assert "same file as that of" in batch.outcomes[1].message


def test_names_that_differ_in_capitals_share_a_file_where_the_disk_says_so(
    tmp_path, out, monkeypatch
):
    for seed, name in enumerate(("Song", "song")):
        write_session(tmp_path / "in" / name, seed=seed)
    monkeypatch.setattr("drummix.batch.planning.is_case_sensitive", lambda folder: False)
    batch = mix_many(tmp_path / "in", out, options=UNITY, jobs=1)
    assert sorted(statuses(batch).values()) == ["failed", "mixed"]


# One that fails stops no other.


def test_each_failing_session_has_its_reason_and_the_others_are_mixed(sessions, out):
    (sessions / "broken").mkdir()
    (sessions / "broken" / "Kick.wav").write_bytes(b"no sound")
    (sessions / "unclear").mkdir()
    write(sessions / "unclear" / "Mic 7.wav", Audio(np.zeros((1, 99)), RATE_HZ))
    (sessions / "bounces").mkdir()
    write(sessions / "bounces" / "Final Mix.wav", Audio(np.zeros((2, 99)), RATE_HZ))
    batch = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(batch) == {
        "a": "mixed",
        "b": "mixed",
        "bounces": "skipped",
        "broken": "failed",
        "deep/er/c": "mixed",
        "unclear": "failed",
    }
    assert "not a sound file" in message_of(batch, "broken")
    assert "which microphone" in message_of(batch, "unclear")
    assert message_of(batch, "unclear").endswith("session.toml")


def test_a_bug_in_one_session_is_shown_and_the_others_are_mixed(sessions, out, monkeypatch):
    def buggy(folder, *arguments, **options):
        if folder.name == "a":
            raise KeyError("no such thing")
        return write_mix(folder, *arguments, **options)

    write_mix = working.write_mix
    monkeypatch.setattr(working, "write_mix", buggy)
    batch = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(batch) == {"a": "failed", "b": "mixed", "deep/er/c": "mixed"}
    assert "a bug in drummix (KeyError: 'no such thing')" in message_of(batch, "a")
    assert "in buggy" in batch.outcomes[0].trace


def test_a_full_disk_is_said_and_leaves_nothing(sessions, out, monkeypatch):
    from drummix.mixing.scratch import Scratch

    append = Scratch.append

    def full(self, block):
        if self._target.stem == "b":
            raise OutputError(f"{self._target} cannot be written: No space left on device")
        append(self, block)

    monkeypatch.setattr(Scratch, "append", full)
    batch = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(batch)["b"] == "failed"
    assert "No space left" in message_of(batch, "b")
    assert files_in(out) == ["a.wav", "deep/er/c.wav", "summary.csv"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"folder": "nowhere"}, SessionError, "does not exist"),
        ({"folder": "in/a/Kick.wav"}, SessionError, "is a file"),
        ({"folder": "empty"}, SessionError, "holds no session"),
        ({"out": "in"}, OutputError, "is the folder of the sessions"),
        ({"out": "in/a/Kick.wav"}, OutputError, "is a file"),
        ({"out": "in/a/Kick.wav/x"}, OutputError, "cannot be made"),
        ({"format": "aac"}, SettingError, "use wav, flac, mp3"),
        ({"jobs": 0}, SettingError, "jobs is 0"),
        (
            {"options": MixOptions(system="magic")},
            SettingError,
            "system is 'magic', which does not exist",
        ),
        ({"options": MixOptions(weights="nowhere")}, WeightsError, "is no model"),
    ],
)
def test_what_cannot_work_at_all_is_refused_before_anything_is_written(
    sessions, tmp_path, monkeypatch, change, error, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = files_in(tmp_path)
    arguments = {"folder": "in", "out": "out", "options": UNITY} | change
    with pytest.raises(error, match=words):
        mix_many(arguments.pop("folder"), arguments.pop("out"), **arguments)
    assert files_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_output_folder_that_is_read_only_is_refused(sessions, out):
    out.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="choose another"):
        mix_many(sessions, out, options=UNITY, jobs=1)


# Going on.


def test_a_complete_mix_is_not_made_again(sessions, out):
    first = mix_many(sessions, out, options=UNITY, jobs=1)
    times_ns = [outcome.path.stat().st_mtime_ns for outcome in first.outcomes]
    second = mix_many(sessions, out, options=UNITY, jobs=1)
    assert second.count("unchanged") == 3
    assert [outcome.path.stat().st_mtime_ns for outcome in second.outcomes] == times_ns
    assert [outcome.lufs for outcome in second.outcomes] == [o.lufs for o in first.outcomes]


def change_input(sessions: Path, out: Path) -> None:
    write(sessions / "b" / "Kick.wav", Audio(np.zeros((1, N_SAMPLES)), RATE_HZ))


def change_settings_file(sessions: Path, out: Path) -> None:
    (sessions / "b" / "session.toml").write_text('ignore = "HH.wav"\n')


def drop_input(sessions: Path, out: Path) -> None:
    (sessions / "b" / "HH.wav").unlink()


def drop_mix(sessions: Path, out: Path) -> None:
    (out / "b.wav").unlink()


def cut_mix(sessions: Path, out: Path) -> None:
    with (out / "b.wav").open("r+b") as file:
        file.truncate(1_000)


def break_record(sessions: Path, out: Path) -> None:
    (out / RECORDS_NAME / "b.wav.json").write_text("{")


@pytest.mark.parametrize(
    "change",
    [change_input, change_settings_file, drop_input, drop_mix, cut_mix, break_record],
)
def test_what_changed_is_mixed_again_and_nothing_else(sessions, out, change):
    mix_many(sessions, out, options=UNITY, jobs=1)
    change(sessions, out)
    again = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(again) == {"a": "unchanged", "b": "mixed", "deep/er/c": "unchanged"}
    assert read(out / "b.wav").n_samples == N_SAMPLES


@pytest.mark.parametrize(
    "change",
    [
        {"level": OutputLevel(lufs=-30.0)},
        {"level": OutputLevel(true_peak_dbtp=-6.0)},
        {"options": MixOptions(system="anchor")},
        {"is_with_settings": True},
        {"format": "flac"},
    ],
)
def test_other_settings_mix_everything_again(sessions, out, change):
    mix_many(sessions, out, options=UNITY, jobs=1)
    assert mix_many(sessions, out, **({"options": UNITY, "jobs": 1} | change)).count("mixed") == 3


def test_other_weights_mix_again_and_the_same_elsewhere_do_not(sessions, out, weights, tmp_path):
    mix_many(sessions, out, options=MixOptions(weights=weights), jobs=1)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in weights.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert mix_many(sessions, out, options=MixOptions(weights=copy), jobs=1).count("unchanged") == 3
    card = json.loads((copy / "model.json").read_text())
    config = WaveUNetConfig.from_mapping(card["architecture"])
    tensors = {k: np.zeros(s, np.float32) for k, s in parameter_shapes(config).items()}
    other = write_model(tmp_path, "other", tensors, card)
    assert mix_many(sessions, out, options=MixOptions(weights=other), jobs=1).count("mixed") == 3


def test_a_stopped_run_leaves_a_summary_and_is_gone_on_with(sessions, out, monkeypatch):
    def stopped(folder, *arguments, **options):
        if folder.name == "b":
            raise KeyboardInterrupt
        return write_mix(folder, *arguments, **options)

    write_mix = working.write_mix
    with monkeypatch.context() as patch:
        patch.setattr(working, "write_mix", stopped)
        with pytest.raises(KeyboardInterrupt):
            mix_many(sessions, out, options=UNITY, jobs=1)
    assert [row["status"] for row in rows_of(out)] == ["mixed", "not done", "not done"]
    again = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(again) == {"a": "unchanged", "b": "mixed", "deep/er/c": "mixed"}


KILLED = """
import sys, time
from drummix import cli
from drummix.mixing import run
make = run._metered
def slowly(plan, session, meter, progress):
    for block in make(plan, session, meter, progress):
        yield block
        if session.name == "b":
            print("there", flush=True)
            time.sleep(60)
run._metered = slowly
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_batch_leaves_no_half_written_mix_and_goes_on(sessions, out, tmp_path, number):
    arguments = ["batch", sessions, "-o", out, "--system", "unity", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    visible = [name for name in files_in(out) if ".partial" not in name]
    assert visible == ["a.wav"] + ["summary.csv"] * (number == signal.SIGTERM)
    again = mix_many(sessions, out, options=UNITY, jobs=1)
    assert statuses(again) == {"a": "unchanged", "b": "mixed", "deep/er/c": "mixed"}
    assert files_in(out) == ["a.wav", "b.wav", "deep/er/c.wav", "summary.csv"]
    mix_one_by_one(sessions, tmp_path / "single", UNITY)
    assert same_bytes(tmp_path / "single", out)


# In processes.


def test_two_processes_give_what_mixing_one_by_one_gives(sessions, out, weights, tmp_path):
    options = MixOptions(weights=weights)
    batch = mix_many(sessions, out, options=options, jobs=2)
    assert batch.count("mixed") == 3
    mix_one_by_one(sessions, tmp_path / "single", options)
    assert same_bytes(tmp_path / "single", out)


def test_a_mix_has_the_same_bytes_on_any_number_of_threads(tmp_path):
    # Long enough for the matrix library to share its products among threads.
    session = write_session(tmp_path / "take", n_samples=60_000)
    made = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            made.append(mix_to_file(session, tmp_path / f"{threads}.wav", system="unity").path)
    assert made[0].read_bytes() == made[1].read_bytes()


def test_sessions_at_a_time_are_cores_as_far_as_memory_goes(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 3_500_000_000 // 4096}
    monkeypatch.setattr(run.os, "sysconf", pages.__getitem__)
    assert [run.default_jobs(cores) for cores in (1, 2, 16)] == [1, 2, 3]


# The command.


def invoke(*arguments: object):
    wide = {"COLUMNS": "400"}
    return CliRunner().invoke(app, ["batch", *map(str, arguments)], env=wide)


def test_the_command_prints_a_table_and_succeeds(sessions, out):
    result = invoke(sessions, "-o", out, "--system", "unity", "--jobs", "1", "--settings")
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines() if "mixed" in line] == [
        ["a", "mixed"],
        ["b", "mixed"],
        ["deep/er/c", "mixed"],
    ]
    assert "3 sessions: 3 mixed" in result.stderr
    assert json.loads((out / "deep/er/c.json").read_text())["system"] == "unity"


def test_the_command_fails_where_one_session_did_and_says_why(sessions, out):
    (sessions / "b" / "Snare.wav").write_bytes(b"")
    result = invoke(sessions, "-o", out, "--system", "unity", "--jobs", "1", "--format", "flac")
    assert result.exit_code == 1
    assert "- b: " in result.stdout
    assert "is empty (0 bytes)" in " ".join(result.stdout.split())
    assert files_in(out) == ["a.flac", "deep/er/c.flac", "summary.csv"]


def test_json_and_the_summary_say_the_same(sessions, out):
    result = invoke(sessions, "-o", out, "--system", "unity", "--jobs", "1", "--json")
    told = json.loads(result.stdout)
    assert told["summary"] == str(out / "summary.csv")
    rows = rows_of(out)
    assert list(rows[0]) == list(COLUMNS)
    for row, session in zip(rows, told["sessions"], strict=True):
        assert row["session"] == session["session"]
        assert float(row["lufs"]) == pytest.approx(session["lufs"], abs=1e-3)
        assert float(row["duration_s"]) == pytest.approx(N_SAMPLES / RATE_HZ, abs=1e-3)


def test_nothing_to_mix_is_one_line(tmp_path):
    result = invoke(tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("drummix: ")
    assert "holds no session" in result.stderr
    assert not (tmp_path / "out").exists()
