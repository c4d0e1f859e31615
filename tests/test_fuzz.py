"""The commands that try damaged input: that they find what is wrong, and today nothing is."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from drummix.errors import SessionError

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from fuzz import running, text_files  # noqa: E402
from fuzz.mutations import mutate  # noqa: E402
from fuzz.running import Case, fuzz  # noqa: E402


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch):
    """A limit would last for all tests after these."""
    monkeypatch.setattr(running, "_limit_memory", lambda: None)


@pytest.fixture(scope="module")
def text_targets(tmp_path_factory):
    return text_files.targets(tmp_path_factory.mktemp("targets"))


def fuzzed(run, *words: str) -> int:
    return fuzz(lambda rng: Case("it", f"drawn {rng.randrange(10)}", run), words)


def refuse():
    raise SessionError("one line")


class LinesError(SessionError):
    def __str__(self):
        return "two\nlines"


def refuse_in_two_lines():
    raise LinesError


def fail():
    raise RecursionError("too deep")


def exit_at_once():
    raise SystemExit(0)


def hang():
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # what swallows every error must not swallow the alarm
            continue


@pytest.mark.parametrize("run", [refuse, lambda: 3])
def test_a_value_or_an_error_of_one_line_is_no_finding(run, capsys):
    assert fuzzed(run, "--seconds", "0.05", "--seed", "3") == 0
    assert "cases of 1 kinds, seed 3: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (refuse_in_two_lines, "not one line: LinesError"),
        (fail, "RecursionError: too deep"),
        (exit_at_once, "SystemExit"),
        (hang, "longer than 0.1 s"),
    ],
)
def test_anything_else_is_a_finding_with_what_repeats_it(run, words, capsys, monkeypatch):
    monkeypatch.setattr(running, "LONGEST_S", 0.1)
    assert fuzzed(run, "--seconds", "1", "--seed", "3") == 1
    said = capsys.readouterr().out
    assert said.startswith("FOUND in it, --seed 3 --case 0: ")
    assert words in said
    assert said.splitlines()[-1].startswith("drawn ")


def test_a_case_can_be_repeated_alone():
    seen = []

    def make(rng: random.Random) -> Case:
        seen.append(rng.random())
        return Case("it", "", lambda: None)

    fuzz(make, ["--seconds", "0.05", "--seed", "5"])
    together = list(seen)
    seen.clear()
    fuzz(make, ["--seed", "5", "--case", "2"])
    assert seen == [together[2]]


def test_the_same_draws_make_the_same_damage():
    text = b'[roles]\nsnare = "take 3.wav"\nkick = 7\n'
    damaged = [mutate(text, random.Random(n)) for n in range(300)]
    assert damaged == [mutate(text, random.Random(n)) for n in range(300)]
    assert len(set(damaged)) > 200


def nothing(path: Path) -> None:
    path.unlink()


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def giant(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 40)


def holding(content: bytes):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        nothing,
        folder_in_its_place,
        pipe,
        giant,
        holding(b""),
        holding(b"[" * 100_000),
        holding(b'{"a":' * 100_000),
        holding(b"a = " + b"[" * 100_000),
        holding(b"<a>" * 100_000),
        holding(b'{"a": 1' + b"0" * 5000 + b"}"),
        holding(b"a = 1" + b"0" * 5000),
        holding(b"\xff\xfe" + "[]".encode("utf-16-le")),
        holding(bytes(range(256)) * 40),
    ],
    ids=(
        *("missing", "folder", "pipe", "giant", "empty", "lists", "objects", "toml", "elements"),
        *("digits", "toml-digits", "utf-16", "bytes"),
    ),
)
def test_every_reader_of_a_text_file_ends_in_a_value_or_one_line(damage, text_targets):
    for target in text_targets:
        good = target.path.read_bytes()
        damage(target.path)
        problem = running.problem_of(Case(target.name, "", target.read), Counter())
        if target.path.is_dir():
            target.path.rmdir()
        target.path.unlink(missing_ok=True)
        target.path.write_bytes(good)
        assert problem is None, f"{target.name}: {problem}"


def test_damaged_text_files_are_values_or_errors_of_one_line():
    command = [sys.executable, "-m", "fuzz.text_files", "--seconds", "5", "--seed", "1"]
    run = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " kinds, seed 1: " in run.stdout
