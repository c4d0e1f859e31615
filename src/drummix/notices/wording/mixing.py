"""What a mixer says of its inputs, levels and rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drummix.errors import Parameter, Spelling
from drummix.notices import Code, Notice
from drummix.notices.wording.book import each, listed, together

_SIDES = {None: "", 0: " left", 1: " right"}


@each(Code.TURNED_DOWN)
def _turned_down(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    return (
        f"the mix peaked at {of['true_peak_dbtp']:+.1f} dBTP: turned down by "
        f"{-of['gain_db']:.1f} dB, to peak at {of['ceiling_dbtp']:g} dBTP"
    )


@each(Code.LOUDNESS_UNKNOWN)
def _loudness_unknown(notice: Notice, spelling: Spelling) -> str:
    wanted = notice.values["wanted_lufs"]
    return f"too short or too quiet to be set to {wanted:g} LUFS: level left"


@each(Code.LOUDNESS_LIMITED)
def _loudness_limited(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    return (
        f"{of['wanted_lufs']:g} LUFS would peak at {of['true_peak_dbtp']:+.1f} dBTP: set to "
        f"{of['lufs']:.1f} LUFS, as loud as {of['ceiling_dbtp']:g} dBTP lets it be"
    )


@each(Code.INPUT_COMBINED)
def _input_combined(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} = {' + '.join(_route(one) for one in notice.values['routes'])}"


def _route(route: dict[str, Any]) -> str:
    turned = ", polarity inverted" if route["is_inverted"] else ""
    level = f" ({route['gain_db']:+.0f} dB{turned})" if route["gain_db"] or turned else ""
    return f'"{route["source"]}"{_SIDES[route["channel"]]}{level}'


@together(Code.INPUT_SILENT)
def _input_silent(notices: Sequence[Notice], spelling: Spelling) -> str:
    return f"no microphone for {listed(one.about for one in notices)}: silent in this mix"


@each(Code.STEM_UNHEARD)
def _stem_unheard(notice: Notice, spelling: Spelling) -> str:
    role = notice.values["role"]
    return f'not mixed, this network has no input for {role}: "{notice.about}"'


@together(Code.LEVEL_SET)
def _level_set(notices: Sequence[Notice], spelling: Spelling) -> str:
    why = {
        "network": "set to the levels the network was trained at",
        "example": "set to the levels of the style's example",
        "preamps": "recorded at other levels than the style's example, so set to those",
    }[notices[0].values["reason"]]
    gains = ", ".join(f"{one.about} {one.values['gain_db']:+.1f}" for one in notices)
    if notices[0].values["reason"] == "example":
        return f"{why}: {gains} dB"
    return f"{why}: {gains} dB ({spelling(Parameter('as_recorded', True))} leaves them)"


@together(Code.ONLY_BLEED)
def _only_bleed(notices: Sequence[Notice], spelling: Spelling) -> str:
    return (
        f"nothing but bleed in {listed(one.about for one in notices)}: kept below the level of a "
        "struck tom"
    )


@each(Code.MIXED_AT_OTHER_RATE)
def _mixed_at_other_rate(notice: Notice, spelling: Spelling) -> str:
    works = {"network": "the network works", "style": "the style was learned"}[notice.about]
    return (
        f"{works} at {notice.values['rate_hz']} Hz: the session is resampled to it and the mix "
        f"back to {notice.values['session_rate_hz']} Hz"
    )


@each(Code.WEIGHTS_FOR_OTHER_TARGET)
def _weights_for_other_target(notice: Notice, spelling: Spelling) -> str:
    return f"the weights in {notice.about} were trained for a {notice.values['target']} mix"


@each(Code.TEST_SIGNAL)
def _test_signal(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} is a test signal: it mixes the overheads alone, low-passed"


@each(Code.STYLE_MICROPHONE_NEW)
def _style_microphone_new(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" ({notice.values["role"]}) is new to the style: {_how(notice)}'


@together(Code.STYLE_MICROPHONE_UNKNOWN)
def _style_microphone_unknown(notices: Sequence[Notice], spelling: Spelling) -> str:
    names = ", ".join(f'"{one.about}" ({one.values["role"]}, {_how(one)})' for one in notices)
    return f"left out, for the style does not know them: {names}"


@together(Code.STYLE_MICROPHONE_MISSING)
def _style_microphone_missing(notices: Sequence[Notice], spelling: Spelling) -> str:
    return f"the style also mixes {listed(one.about for one in notices)}: not in this session"


def _how(notice: Notice) -> str:
    """How a style mixes a microphone that it does not know."""
    others = ", ".join(notice.values["others"])
    return {
        "other": f"mixed as its {others}",
        "mirrored": f"mixed as its {others}, mirrored",
        "mono_to_side": f"mixed as its {others}, to its side",
        "mean": f"mixed as the mean of its {others}",
        "flat": "flat, in the centre, at the fader of kick and snare",
        "left_out_beside": f"beside {others}",
        "left_out_unlike": "nothing like it in it",
        "left_out_lone_tom": "no tom, kick or snare in it",
    }[notice.values["how"]]
