"""What is said of a session's files and their roles."""

from __future__ import annotations

from collections.abc import Sequence

from drummix.errors import Parameter, Spelling
from drummix.notices.notice import Code, Notice
from drummix.notices.wording.book import each, together

_COMMON_ROLES = "kick kick_out snare snare_bottom hihat tom overhead room ride crash percussion"


@each(Code.FILE_OF_OTHER_FORMAT)
def _file_of_other_format(notice: Notice, spelling: Spelling) -> str:
    return f"left out, {notice.values['format']} cannot be read: {_quoted(notice)}"


@each(Code.FILE_LEFT_OUT)
def _file_left_out(notice: Notice, spelling: Spelling) -> str:
    role = spelling(Parameter("roles", {"ROLE": notice.about}))
    why = notice.values["why"]
    return f"left out: {_quoted(notice)}, {why}; if it belongs to the mix, give it a role: {role}"


@together(Code.FILE_IGNORED)
def _file_ignored(notices: Sequence[Notice], spelling: Spelling) -> str:
    return f"ignored as you said: {', '.join(_quoted(one) for one in notices)}"


@together(Code.FILE_RESAMPLED)
def _file_resampled(notices: Sequence[Notice], spelling: Spelling) -> str:
    files = ", ".join(f"{_quoted(one)} ({one.values['from_hz']} Hz)" for one in notices)
    return f"resampled to {notices[0].values['to_hz']} Hz: {files}"


@together(Code.FILE_PADDED)
def _file_padded(notices: Sequence[Notice], spelling: Spelling) -> str:
    files = ", ".join(f"{_quoted(one)} ({one.values['from_s']:.3f} s)" for one in notices)
    return f"padded with silence to {notices[0].values['to_s']:.3f} s: {files}"


@together(Code.FILE_SUMMED_TO_MONO)
def _file_summed_to_mono(notices: Sequence[Notice], spelling: Spelling) -> str:
    files = ", ".join(f"{_quoted(one)} ({one.values['role']})" for one in notices)
    return f"stereo files summed to mono, each channel at -6 dB: {files}"


@each(Code.SIDES_ASSUMED)
def _sides_assumed(notice: Notice, spelling: Spelling) -> str:
    (left, first), (right, second) = notice.values["roles"].items()
    swapped = spelling(Parameter("roles", {left: second, right: first}))
    return (
        f'"{first}" and "{second}" are taken as {notice.about} left and right; to swap them: '
        f"{swapped}"
    )


@each(Code.TOMS_AS_IN_ENST)
def _toms_as_in_enst(notice: Notice, spelling: Spelling) -> str:
    return "toms are read in ENST-Drums' order: tom_1 mid, tom_2 low, tom_3 mid-low"


@each(Code.ROLE_UNKNOWN)
def _role_unknown(notice: Notice, spelling: Spelling) -> str:
    files = ", ".join(f'"{name}" ({why})' for name, why in notice.values["files"].items())
    first = next(iter(notice.values["files"]))
    said = spelling(Parameter("roles", {"ROLE": first}))
    ignored = spelling(Parameter("roles", {"ignore": first}))
    return (
        f"which microphone is {files}? say it with {said}, or leave it out with {ignored}; "
        f"roles: {_COMMON_ROLES}"
    )


@each(Code.ROLE_CLAIMED_TWICE)
def _role_claimed_twice(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    files = " and ".join(f'"{name}"' for name in of["files"])
    said = spelling(Parameter("roles", of["roles"]))
    ignored = spelling(Parameter("roles", {"ignore": of["files"][1]}))
    return (
        f"{files} are the same by name ({of['claimed']}); say which is which with {said}, or "
        f"leave one out with {ignored}"
    )


def _quoted(notice: Notice) -> str:
    return f'"{notice.about}"'
