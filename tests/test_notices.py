"""What a person is told: data with a code, and one sentence for each code."""

import json
import re
from pathlib import Path

import pytest

from drummix.errors import Parameter
from drummix.notices import WARNINGS, Code, Notice, Severity
from drummix.notices.wording import lines, sentence, to_plain
from drummix.notices.wording.book import known_codes

DOCS = Path(__file__).resolve().parents[1] / "docs" / "notices.md"


def option(parameter: Parameter) -> str:
    """A stand-in for the command line's spelling."""
    return f"--{parameter.name}"


def padded(name: str) -> Notice:
    return Notice.of(Code.FILE_PADDED, name, from_s=0.025, to_s=0.1)


def test_every_code_has_a_sentence():
    assert known_codes() == set(Code)


def test_every_code_stands_in_the_docs_with_its_severity():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(code.value, Notice(code).severity.value) for code in Code]


def test_a_notice_comes_back_from_json_as_it_was():
    notice = Notice(Code.FILE_RESAMPLED, "Kick.wav", {"from_hz": 48_000, "to_hz": 44_100}, "take 1")
    assert Notice.from_dict(json.loads(json.dumps(notice.to_dict()))) == notice


def test_severity_belongs_to_the_code():
    assert {code for code in Code if Notice(code).severity is Severity.WARNING} == WARNINGS
    assert padded("Kick.wav").severity is Severity.INFO


def test_notices_of_one_code_are_one_line_and_others_keep_their_order():
    found = [padded("Kick.wav"), Notice(Code.FILE_IGNORED, "x.wav"), padded("Snare.wav")]
    assert [line.text for line in lines(found)] == [
        'padded with silence to 0.100 s: "Kick.wav" (0.025 s), "Snare.wav" (0.025 s)',
        'ignored as you said: "x.wav"',
    ]


def test_notices_of_other_sessions_are_said_apart():
    found = [Notice(Code.FILE_IGNORED, "x.wav", within=name) for name in ("one", "two")]
    assert [line.text for line in lines(found)] == [
        'one: ignored as you said: "x.wav"',
        'two: ignored as you said: "x.wav"',
    ]


def test_plain_data_carries_code_severity_values_and_the_sentence():
    assert to_plain([padded("Kick.wav")]) == [
        {
            "code": "file_padded",
            "severity": "info",
            "about": "Kick.wav",
            "values": {"from_s": 0.025, "to_s": 0.1},
            "message": 'padded with silence to 0.100 s: "Kick.wav" (0.025 s)',
        }
    ]


@pytest.mark.parametrize(
    ("notice", "python", "command"),
    [
        (
            Notice.of(Code.LEVEL_SET, "kick", gain_db=3.0, reason="network"),
            "(as_recorded=True leaves them)",
            "(--as_recorded leaves them)",
        ),
        (
            Notice.of(Code.COMPARED_LATE, "mix.wav", late_samples=7),
            "(align=True moves it)",
            "(--align moves it)",
        ),
        (
            Notice.of(Code.ROLE_UNKNOWN, files={"a.wav": "no word of it is known"}),
            "roles={'ignore': 'a.wav'}",
            "--roles",
        ),
    ],
)
def test_a_parameter_is_written_as_its_reader_types_it(notice, python, command):
    assert python in str(notice)
    assert command in sentence(notice, option)
