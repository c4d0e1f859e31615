"""Messages that speak of parameters: Python's user reads one name, the command line another."""

import pickle

import pytest
from typer.testing import CliRunner

from drummix.cli.app import App, running_spelling
from drummix.errors import Parameter, SessionError, SettingError, in_python


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
