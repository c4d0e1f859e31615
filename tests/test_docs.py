"""The docs say what is true: commands exist and are described, code blocks run."""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import typer.main
from packaging.requirements import Requirement

REPO = Path(__file__).resolve().parents[1]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
SHELLS = ("bash", "console", "sh", "shell")
# Programs whose lines are taken as they stand: what they do is not ours to check.
FOREIGN_PROGRAMS = ("git", "cd", "python3", "ls", "cat", "source", "export", "apt")
# A block is run where `<!-- run -->` stands on the line before it, and read but neither run
# nor checked against the command line where `<!-- not run: why -->` does.
FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]+?) -->\n)?```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced code block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether the page asks for a shell block to be run."""
        return self.mark == "run"

    @property
    def excused(self) -> bool:
        """Whether the page gives a reason not to run the block."""
        return re.fullmatch(r"not run: .+", self.mark) is not None


def blocks_of(page: Path) -> list[Block]:
    """Read a page's fenced code blocks."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=match["text"],
            mark=match["mark"] or "",
        )
        for match in FENCE.finditer(text)
    ]


def shell_lines(block: Block) -> list[str]:
    """List a shell block's command lines, without prompts and without what they print."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return lines


def commands_of(block: Block) -> list[list[str]]:
    """Split a shell block into commands: words, without `VAR=value` before and `> file` after."""
    commands: list[list[str]] = []
    for line in shell_lines(block):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        tokens = iter([*lexer, ";"])
        for token in tokens:
            if not set(token) <= set("();<>|&"):
                words.append(token)
            elif set(token) & set("<>"):
                next(tokens)
            else:
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                commands += [words] if words else []
                words = []
    return commands


def command_line() -> Any:
    """Build the command-line application, whatever click it stands on."""
    cli = pytest.importorskip("drummix.cli", reason="the command line is not written yet")
    return typer.main.get_command(cli.app)


def subcommands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command under a group with its full name."""
    for child_name, child in getattr(command, "commands", {}).items():
        full_name = f"{name} {child_name}"
        yield full_name, child
        yield from subcommands(child, full_name)


def what_is_wrong_with(command: Any, words: list[str]) -> str | None:
    """Parse words as a command's arguments, without running it; None if they parse."""
    children = getattr(command, "commands", {})
    if words and words[0] in children:
        return what_is_wrong_with(children[words[0]], words[1:])
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            command.make_context(command.name or "drummix", list(words))
    except typer.Exit:
        return None
    except Exception as error:
        # Every usage error of click's, and only those, says with which status it would exit.
        if not hasattr(error, "exit_code"):
            raise
        return str(error)
    if children and words:
        return f"no such command: {words[0]}"
    return None


def make_targets() -> set[str]:
    """Read the Makefile's targets."""
    return set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(), re.MULTILINE))


def objection(words: list[str]) -> str | None:
    """Say what is wrong with one documented command; None if nothing is."""
    program, rest = Path(words[0]).name, words[1:]
    if program == "drummix":
        return what_is_wrong_with(command_line(), rest)
    if program == "make":
        targets = {word for word in rest if not word.startswith("-") and "=" not in word}
        return None if targets <= make_targets() else f"no such target: {targets - make_targets()}"
    if program == "pip":
        ours = [Requirement(word) for word in rest if word.startswith("drummix")]
        extras = {extra for requirement in ours for extra in requirement.extras}
        unknown = extras - set(PROJECT["optional-dependencies"])
        return f"no such extra: {unknown}" if unknown else None
    if words[0].startswith("scripts/"):
        return None if (REPO / words[0]).is_file() else f"no such script: {words[0]}"
    return None if program in FOREIGN_PROGRAMS else f"unknown program: {program}"


def write_takes(folder: Path) -> None:
    """Write the `takes` folder that the docs' examples work on: two seconds, eight mics."""
    audio = pytest.importorskip("drummix.audio")
    rng = np.random.default_rng(0)
    decay = np.exp(-np.linspace(0.0, 20.0, 88_200, dtype=np.float32))
    names = ("Kick", "Snare", "HH", "Rack 1", "Rack 2", "Floor Tom", "OH L", "OH R")
    folder.mkdir()
    for name in names:
        samples = 0.3 * decay * rng.standard_normal(decay.shape, dtype=np.float32)
        audio.write(folder / f"{name}.wav", audio.Audio(samples[np.newaxis], 44_100))


def run_python(page: Path, blocks: list[Block]) -> None:
    """Run a page's Python blocks in one namespace, in order; prompts make a block a doctest."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for block in blocks:
        where = f"{page.name}:{block.line}"
        if ">>>" in block.text:
            parser = doctest.DocTestParser()
            test = parser.get_doctest(block.text, namespace, where, str(page), block.line)
            if not block.excused:
                failed = runner.run(test, clear_globs=False).failed
                assert failed == 0, f"{where} does not print what it shows"
                namespace = test.globs
        else:
            # The padding makes a traceback point at the page's own line.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            if not block.excused:
                exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in blocks_of(page) if block.language in ("python", "pycon")]
    if blocks:
        monkeypatch.chdir(tmp_path)
        write_takes(tmp_path / "takes")
        run_python(page, blocks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_blocks_name_commands_and_options_that_exist(page: Path) -> None:
    wrong = [
        f"{page.name}:{block.line}: {shlex.join(words)}: {problem}"
        for block in blocks_of(page)
        if block.language in SHELLS and not block.excused
        for words in commands_of(block)
        if (problem := objection(words)) is not None
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_blocks_marked_run_succeed(page: Path, tmp_path: Path) -> None:
    scripts = [block for block in blocks_of(page) if block.runs and block.language in SHELLS]
    if scripts:
        write_takes(tmp_path / "takes")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in scripts:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(shell_lines(block))],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, f"{page.name}:{block.line}: {run.stderr}"


def test_code_marks_are_known() -> None:
    """A mark with a typing error would silently run nothing."""
    marks = [block for page in PAGES for block in blocks_of(page) if block.mark]
    assert [block for block in marks if not block.runs and not block.excused] == []


def test_every_command_has_help_and_a_line_in_the_docs() -> None:
    commands = dict(subcommands(command_line(), "drummix"))
    page = (REPO / "docs/cli.md").read_text()
    assert [name for name, command in commands.items() if not command.help] == []
    assert [name for name in commands if not re.search(rf"\b{name}\b", page)] == []


def test_every_option_has_help() -> None:
    commands = subcommands(command_line(), "drummix")
    silent = [
        f"{name} {parameter.opts[0]}"
        for name, command in commands
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_readme_and_ci_give_the_same_test_command() -> None:
    commands = [words for block in blocks_of(REPO / "README.md") for words in commands_of(block)]
    assert ["make", "demo"] in commands
    assert ["make", "test"] in commands
    assert (REPO / ".ci/run").read_text().splitlines()[-2:] == ["make test", "make fuzz"]
    assert os.access(REPO / ".ci/run", os.X_OK)


def toy_command_line() -> Any:
    """Build a small application for the checks to be checked on."""
    app = typer.Typer()

    @app.command()
    def mix(folder: str, out: str = typer.Option(..., "-o", "--out"), lufs: float = -16.0) -> None:
        """Mix a folder."""

    @app.command()
    def systems() -> None:
        """List the systems."""

    return typer.main.get_command(app)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("mix takes -o mix.wav --lufs -14", None),
        ("mix --help", None),
        ("mix takes -o mix.wav --loudness -14", "--loudness"),
        ("mix takes", "out"),
        ("mix takes -o mix.wav --lufs loud", "valid number"),
        ("mix takes more -o mix.wav", "more"),
        ("blend takes", "blend"),
    ],
)
def test_documented_command_is_parsed_without_running_it(line: str, problem: str | None) -> None:
    found = what_is_wrong_with(toy_command_line(), line.split())
    assert found is None if problem is None else problem in (found or "")


def test_blocks_and_commands_are_read_from_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- run -->\n```console\n"
        "$ X=1 make demo && drummix mix 'a b' \\\n    -o m.wav\n"
        "mixed a b\n$ drummix mix c > log  # loud\n```\n\n```python\nx = 1\n```\n"
    )
    shell, python = blocks_of(page)
    assert (shell.line, shell.runs, python.text) == (3, True, "x = 1\n")
    assert commands_of(shell) == [
        ["make", "demo"],
        ["drummix", "mix", "a b", "-o", "m.wav"],
        ["drummix", "mix", "c"],
    ]
