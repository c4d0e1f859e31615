"""`drummix corpus` as a person meets it: a manifest on stdout, the rest on stderr, resumable."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from typer.testing import CliRunner

from drummix import audio, cli
from drummix.audio import Audio
from drummix.cli.corpus import parse_hours
from drummix.corpus import build
from drummix.corpus.manifest import read_manifest
from drummix.errors import OutputError, SettingError

main = cli.app

SCRIPT = """
import signal
# A test run in the background inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from drummix import cli
cli.main()
"""
NOTES = {36: "Kick", 38: "Snare", 49: "Crash"}
MAINS = {"Kick": "Kick", "Snare": "Snare", "Crash": "OHL"}
CHANNELS = ("Kick", "Snare", "OHL")


def write_kit(folder: Path) -> Path:
    """A DrumGizmo kit of three instruments of one hit each."""
    instruments = ""
    for name, main_channel in MAINS.items():
        (folder / name).mkdir(parents=True)
        decay = np.exp(-np.arange(3000) / 400) * np.sin(np.arange(3000) / 5)
        levels = np.array([[0.2 if c == main_channel else 0.01] for c in CHANNELS])
        audio.write(folder / name / "1.wav", Audio((levels * decay).astype(np.float32), 44_100))
        files = "".join(
            f'<audiofile channel="{c}" file="1.wav" filechannel="{n}"/>'
            for n, c in enumerate(CHANNELS, start=1)
        )
        (folder / name / "i.xml").write_text(
            f'<instrument version="2.0"><samples><sample name="1" power="1">{files}</sample>'
            "</samples></instrument>"
        )
        instruments += (
            f'<instrument name="{name}" file="{name}/i.xml"><channelmap in="{main_channel}" '
            f'out="{main_channel}" main="true"/></instrument>'
        )
    channels = "".join(f'<channel name="{name}"/>' for name in CHANNELS)
    (folder / "drumkit.xml").write_text(
        f"<drumkit><channels>{channels}</channels><instruments>{instruments}</instruments></drumkit>"
    )
    maps = "".join(f'<map note="{note}" instr="{name}"/>' for note, name in NOTES.items())
    (folder / "midimap.xml").write_text(f"<midimap>{maps}</midimap>")
    return folder


def write_groove(folder: Path, n_train: int, n_test: int, *, notes: tuple[int, ...] = ()) -> Path:
    """A dataset of performances of four strokes, said to last 21.6 s."""
    folder.mkdir(parents=True)
    rows = ["id,style,bpm,beat_type,midi_filename,duration,split"]
    for part, n_performances in (("train", n_train), ("test", n_test)):
        for number in range(n_performances):
            strokes = [
                mido.Message("note_on", note=note, velocity=90 + number, time=90)
                for note in (36, 38, 49, 38, *notes)
            ]
            name = f"{part}{number}"
            mido.MidiFile(tracks=[mido.MidiTrack(strokes)]).save(folder / f"{name}.mid")
            rows.append(f"{name},rock,120,beat,{name}.mid,21.6,{part}")
    (folder / "info.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_kit(folder / "kit")
    write_groove(folder / "groove", n_train=3, n_test=2)
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["corpus", *(str(argument) for argument in arguments)])


def said(stderr: str) -> list[str]:
    """What a command said, but for the progress that a slow machine has time to show."""
    return [line for line in stderr.splitlines() if not line.startswith("rendering: ")]


def of(sources: Path, *more: object) -> tuple[object, ...]:
    # The little dataset has no validation part.
    parts = () if {"--parts", "--hours"} & set(more) else ("--parts", "train,test")
    return ("--kit", sources / "kit", "--groove", sources / "groove", *parts, *more)


def test_render_prints_the_manifest_and_tells_a_person_the_rest(
    sources: Path, tmp_path: Path
) -> None:
    result = run("render", *of(sources, "--out", tmp_path / "c", "--format", "wav"))
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'c' / 'manifest.csv'}\n"
    [summary] = said(result.stderr)
    assert summary.startswith("5 items, ")
    items = read_manifest(tmp_path / "c")
    assert [item.part for item in items] == ["test"] * 2 + ["train"] * 3
    assert {item.extension for item in items} == {"wav"}


def test_options_reach_the_corpus(sources: Path, tmp_path: Path) -> None:
    options = ("--hours", "train=0.01", "--engineer", 7, "--seed", 3, "--workers", 2)
    result = run("render", *of(sources, "--out", tmp_path / "c", *options))
    assert result.exit_code == 0, result.stderr
    plain = json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert plain["settings"]["engineer"] == 7
    assert plain["settings"]["seed"] == 3
    assert plain["settings"]["hours"] == {"train": 0.01}
    # 0.01 h are 36 s: two performances of 21.6 s.
    assert [item.part for item in read_manifest(tmp_path / "c")] == ["train", "train"]
    assert {item.extension for item in read_manifest(tmp_path / "c")} == {"flac"}


def test_kinds_held_out_kit_perspective_and_disturbances_reach_the_corpus(
    sources: Path, tmp_path: Path
) -> None:
    write_kit(tmp_path / "other")
    kits = ("--kit", tmp_path / "other", "--hold-out-kit", "other")
    more = ("--kinds", "hits, phrase", "--perspective", "drummer", "--disturb", "gain,tuning")
    options = of(sources, "--out", tmp_path / "c", *kits, *more)
    result = run("render", *options)
    assert result.exit_code == 0, result.stderr
    assert "times as fast as they sound" in result.stderr
    items = read_manifest(tmp_path / "c")
    # Of each kit three instruments and the performances of its part.
    assert [(i.part, i.kit, i.kind) for i in items] == [
        *[("test", "other", "hits")] * 3,
        *[("test", "other", "phrase")] * 2,
        *[("train", "kit", "hits")] * 3,
        *[("train", "kit", "phrase")] * 3,
    ]
    plain = json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert plain["settings"]["hold_out_kit"] == "other"
    assert plain["settings"]["disturb"] == ["gain", "tuning"]
    assert plain["taste"]["perspective"] == "drummer"
    record = json.loads((tmp_path / "c" / "items" / f"{items[0].item}.json").read_text())
    assert record["item"]["kind"] == "hits"
    assert record["disturbance"]["gains_db"] != [0.0] * 8
    assert run("check", tmp_path / "c").exit_code == 0
    again = run("render", *options)
    assert "0 of them rendered" in again.stderr
    assert "times as fast" not in again.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--kinds", "loops"), "--kinds names 'loops'; known: hits, phrase, solo, minus-one"),
        (("--kinds", ""), "--kinds names ''; known: hits"),
        (("--disturb", "gain,wow"), "--disturb names 'wow'; known: gain, dropout"),
        (("--hold-out-kit", "other"), "--hold-out-kit is other, none of kit; name its"),
        (
            ("--hold-out-kit", "kit"),
            "--hold-out-kit is kit, so that no kit is left",
        ),
        (("--kinds", "minus-one"), "no train performance for kind minus-one of 8.0 s"),
    ],
    ids=str,
)
def test_unknown_kind_kit_or_disturbance_is_one_line(
    sources: Path, tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    result = run("render", *of(sources, "--out", tmp_path / "c", *options))
    assert (result.exit_code, result.stdout) == (1, "")
    assert problem in result.stderr
    assert len(said(result.stderr)) == 1
    assert not (tmp_path / "c").exists()


def test_rendering_again_renders_nothing(sources: Path, tmp_path: Path) -> None:
    options = of(sources, "--out", tmp_path / "c", "--parts", "test")
    first, again = run("render", *options), run("render", *options)
    assert "2 of them rendered" in first.stderr
    assert "0 of them rendered" in again.stderr
    assert first.stdout == again.stdout


def test_unknown_notes_are_a_note_on_stderr(sources: Path, tmp_path: Path) -> None:
    groove = write_groove(tmp_path / "groove", 0, 2, notes=(54,))
    result = run(
        *("render", "--kit", sources / "kit", "--groove", groove),
        *("--parts", "test", "--out", tmp_path / "c"),
    )
    assert result.exit_code == 0
    [note, summary] = said(result.stderr)
    assert note == "warning: kit: no instrument for note 54; its strokes are left out"
    assert summary.startswith("2 items")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--hours", "dev=1"), "unknown part 'dev'; known: train, validation, test"),
        (("--parts", "train,dev"), "unknown part 'dev'"),
        (("--hours", "long"), "--hours is 'long'; give a number"),
        (("--hours", "0"), "give more than 0"),
        (("--workers", "0"), "--workers is 0; give 1 or more"),
        (("--engineer", "-1"), "--engineer is -1"),
        (("--kit", "gone"), "gone does not exist"),
        (("--parts", "validation"), "has no validation performance"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_line_and_makes_no_folder(
    arguments: tuple[str, ...], problem: str, sources: Path, tmp_path: Path
) -> None:
    result = run("render", *of(sources, "--out", tmp_path / "c", *arguments))
    assert result.exit_code == 1
    assert result.stdout == ""
    [line] = said(result.stderr)
    assert line.startswith("drummix: ")
    assert problem in line
    assert not (tmp_path / "c").exists()


def test_missing_options_and_unknown_formats_are_usage(sources: Path, tmp_path: Path) -> None:
    assert run("render", "--out", tmp_path / "c").exit_code == 2
    mp3 = run("render", *of(sources, "--out", tmp_path / "c", "--format", "mp3"))
    assert mp3.exit_code == 2


def test_unwritable_place_is_one_line(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = run("render", *of(sources, "--out", tmp_path / "file" / "c"))
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "status", "last_line"),
    [
        (OutputError("x.wav cannot be written: No space left on device"), 1, "No space left"),
        (OSError(errno.ENOSPC, "No space left on device", "x.wav"), 1, "the disk is full (x.wav)"),
        (KeyboardInterrupt(), 130, "drummix: stopped"),
    ],
    ids=["full disk", "full disk elsewhere", "Ctrl-C"],
)
def test_stop_says_how_far_it_came_and_the_same_command_goes_on(
    error: BaseException,
    status: int,
    last_line: str,
    sources: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_written = 0

    def write_and_stop(target: Path, samples: Audio) -> int:
        nonlocal n_written
        n_written += 1
        if n_written > 25:
            raise error
        return audio.write(target, samples)

    command = ("render", *of(sources, "--out", tmp_path / "c"))
    monkeypatch.setattr(build, "write_sound", write_and_stop)
    stopped = run(*command)
    assert stopped.exit_code == status
    assert stopped.stdout == ""
    first, last = said(stopped.stderr)
    assert first == "2 of 5 items are complete; the same command goes on from there"
    assert last_line in last
    assert not list((tmp_path / "c").rglob("*.partial*"))
    monkeypatch.undo()
    assert "3 of them rendered" in run(*command).stderr
    assert run("check", tmp_path / "c").exit_code == 0


def wait_for(condition: Callable[[], object], timeout_s: float = 240.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGKILL],
    ids=["Ctrl-C", "kill", "kill -9"],
)
def test_killed_rendering_leaves_no_process_and_can_be_finished(
    number: signal.Signals, sources: Path, tmp_path: Path
) -> None:
    groove = write_groove(tmp_path / "groove", n_train=30, n_test=0)
    out = tmp_path / "c"
    options = ("--kit", sources / "kit", "--groove", groove, "--parts", "train", "--out", out)
    command = [sys.executable, "-c", SCRIPT, "corpus", "render", *map(str, options)]
    # A group of its own, as a shell's job has.
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # The first items may be complete before the parent has heard of them.
    wait_for(lambda: len(list(out.glob("items/*.json"))) >= 5)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=240)
    wait_for(lambda: not is_group_alive(process.pid))
    assert stdout == ""
    if number is signal.SIGTERM:
        assert process.returncode == 143
        [how_far] = said(stderr)
        assert "the same command goes on" in how_far
    if number is signal.SIGINT:
        assert process.returncode == 130
        [how_far, stopped] = said(stderr)
        assert "the same command goes on" in how_far
        assert stopped.startswith("drummix: stopped")
    if number is not signal.SIGKILL:
        assert not list(out.rglob("*.partial*"))
    assert not (out / "manifest.csv").exists()
    assert "not rendered to its end" in run("check", out).stderr
    assert run("render", *options).exit_code == 0
    whole = run("check", out)
    assert (whole.exit_code, whole.stdout[:9]) == (0, "30 items,")


def test_check_prints_a_line_per_problem_and_exits_1(sources: Path, tmp_path: Path) -> None:
    run("render", *of(sources, "--out", tmp_path / "c", "--parts", "test"))
    whole = run("check", tmp_path / "c")
    assert whole.exit_code == 0
    assert whole.stdout.startswith("2 items, ")
    one, other = read_manifest(tmp_path / "c")
    one.paths(tmp_path / "c")[0].unlink()
    other.paths(tmp_path / "c")[9].write_bytes(b"")
    damaged = run("check", tmp_path / "c")
    assert damaged.exit_code == 1
    missing, changed = damaged.stdout.splitlines()
    assert f"{one.paths(tmp_path / 'c')[0]} is missing" in missing
    assert f"{other.paths(tmp_path / 'c')[9]} is damaged" in changed


def test_check_of_no_corpus_is_one_line(tmp_path: Path) -> None:
    result = run("check", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no manifest.csv; render a corpus with" in result.stderr


def test_plan_tells_what_would_be_rendered_and_renders_nothing(
    sources: Path, tmp_path: Path
) -> None:
    result = run("plan", *of(sources, "--parts", "train,test"))
    assert result.exit_code == 0
    # 21.6 s are 0.006 h.
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["part", "items", "hours"],
        ["train", "3", "0.02"],
        ["test", "2", "0.01"],
        ["all", "5", "0.03"],
    ]
    by_kind = run("plan", *of(sources, "--parts", "test", "--kinds", "phrase,hits")).stdout
    assert [line.split()[:2] for line in by_kind.splitlines()[1:]] == [
        ["test", "5"],
        ["phrase", "2"],
        ["hits", "3"],
        ["all", "5"],
    ]
    plain = json.loads(run("plan", *of(sources, "--hours", "test=0.001", "--json")).stdout)
    assert [(p["part"], p["kit"], p["duration_s"]) for p in plain] == [("test", "kit", 21.6)]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("parts", "hours", "expected"),
    [
        (None, None, {"train": None, "validation": None, "test": None}),
        (None, ["2"], {"train": 2.0, "validation": 2.0, "test": 2.0}),
        ("train, test", ["0.5"], {"train": 0.5, "test": 0.5}),
        ("test", None, {"test": None}),
        (None, ["train=1.5", "test=0.4"], {"train": 1.5, "test": 0.4}),
    ],
)
def test_parts_and_hours(
    parts: str | None, hours: list[str] | None, expected: dict[str, float | None]
) -> None:
    assert parse_hours(parts, hours) == expected


@pytest.mark.parametrize(
    ("parts", "hours", "problem"),
    [
        ("train", ["train=1"], "leave bare hours and parts out"),
        (None, ["train=1", "2"], "leave bare hours and parts out"),
        (None, ["train=1", "train=2"], "give each part once"),
        (None, ["1", "2"], "give each part once"),
        (None, ["train="], "hours is 'train='"),
        (None, ["nan"], "hours is 'nan'"),
    ],
)
def test_hours_that_contradict_each_other_are_refused(
    parts: str | None, hours: list[str], problem: str
) -> None:
    with pytest.raises(SettingError, match=problem):
        parse_hours(parts, hours)
