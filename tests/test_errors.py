"""Messages that speak of parameters: Python's user reads one name, the command line another."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import drummix
from drummix import cli
from drummix.cli.app import App, running_spelling, spelling_of
from drummix.errors import Parameter, SessionError, SettingError, in_python

PACKAGE = Path(drummix.__file__).parent


def refuse(parameter, value=None):
    """A command with a few options, whose library function refuses one of them."""
    app = App()

    @app.callback()
    def _group() -> None:
        """Commands."""

    @app.command("mix")
    def _mix(folder: str, true_peak: float = -1.0, role: str = "", align: bool = False) -> None:
        raise SettingError("true_peak_dbtp", 3.0, "expected ", Parameter(parameter, value))

    result = CliRunner().invoke(app, ["mix", "takes"])
    return str(result.exception)


def test_a_setting_error_holds_parameter_value_and_what_was_expected():
    error = SettingError("lufs", 5, "expected -70 to 0")
    assert (error.parameter, error.value, error.expected) == ("lufs", 5, "expected -70 to 0")
    assert str(error) == "lufs is 5; expected -70 to 0"


def test_what_is_wrong_can_be_said_otherwise_than_by_the_value():
    error = SettingError("mono", (3, 9), "give one channel", problem="has shape (3, 9)")
    assert str(error) == "mono has shape (3, 9); give one channel"


@pytest.mark.parametrize(
    ("parameter", "value", "python", "command"),
    [
        ("align", True, "align=True", "--align"),
        ("true_peak_dbtp", -1.5, "true_peak_dbtp=-1.5", "--true-peak -1.5"),
        ("roles", {"snare": "a b.wav"}, "roles={'snare': 'a b.wav'}", "--role snare='a b.wav'"),
        ("folder", None, "folder", "FOLDER"),
        ("not_of_this_command", 3, "not_of_this_command=3", "not_of_this_command=3"),
    ],
)
def test_a_parameter_is_spelled_as_its_reader_types_it(parameter, value, python, command):
    assert in_python(Parameter(parameter, value)) == python
    assert refuse(parameter, value) == f"--true-peak is 3; expected {command}"


def test_an_error_about_a_file_keeps_the_parameters_of_the_one_within():
    inner = SettingError("lufs", 5, "expected -70 to 0")
    outer = inner.within("study.toml: ")
    assert outer.parameter == "lufs"
    assert (
        outer.sentence(lambda parameter: "<here>") == "study.toml: <here> is 5; expected -70 to 0"
    )


def test_errors_come_back_from_another_process_as_they_were():
    for error in (SettingError("lufs", 5, "expected less"), SessionError("no", Parameter("roles"))):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert again.sentence(str) == error.sentence(str)
        assert vars(again) == vars(error)


def test_outside_a_command_parameters_are_spelled_as_in_python():
    assert running_spelling()(Parameter("lufs", -14)) == "lufs=-14"


# Every error of the library.


def raised(module: Path) -> Iterator[tuple[int, str]]:
    """(line, parameter) of every `SettingError` that is raised with its parameter written out."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SettingError"):
            continue
        assert node.args, f"{module}:{node.lineno}: a SettingError names a parameter"
        assert not isinstance(node.args[0], ast.JoinedStr), f"{module}:{node.lineno}: a sentence"
        if isinstance(node.args[0], ast.Constant):
            yield node.lineno, node.args[0].value


def parameters_of(room: Path) -> set[str]:
    """Names that a call into a room can be given: parameters, and fields of its classes."""
    names = set()
    for module in [room] if room.is_file() else room.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                names |= {argument.arg for argument in every}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
    return names


ROOMS = sorted(path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir())


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_a_setting_error_names_a_parameter_of_the_room_it_is_raised_in(room):
    known = parameters_of(room)
    for module in [room] if room.is_file() else sorted(room.rglob("*.py")):
        for line, parameter in raised(module):
            assert parameter.rpartition(".")[2] in known, f"{module.name}:{line}: {parameter}"


def options_of(command, path=()):
    """Every command below a group, with the options it has."""
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from options_of(inner, (*path, name))
        else:
            yield (*path, name), inner


COMMANDS = dict(options_of(get_command(cli.app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_spells_parameters_as_options_that_it_has(path):
    command = COMMANDS[path]
    options = {option for parameter in command.params for option in parameter.opts}
    spell = spelling_of(command)
    for room in ROOMS:
        for module in [room] if room.is_file() else room.rglob("*.py"):
            for _, name in raised(module):
                spelled = spell(Parameter(name))
                assert spelled in options or not spelled.startswith("--")


@pytest.mark.parametrize("breaking", ["\n", "\r", "\x1b[2J", "\u2028", "\0", "\udc80"])
def test_a_message_is_one_line_whatever_the_names_in_it_hold(breaking):
    for error in (
        SessionError(f"a{breaking}b.wav is no sound"),
        SettingError("weights", f"a{breaking}b", f"expected a{breaking}b"),
    ):
        assert str(error).isprintable()
        assert repr(breaking)[1:-1] in str(error)
