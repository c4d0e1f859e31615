"""What is said of a file that looks wrong."""

from __future__ import annotations

from drummix.errors import Parameter, Spelling
from drummix.notices.notice import Code, Notice
from drummix.notices.wording.book import each


@each(Code.FILE_UNREADABLE)
def _file_unreadable(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" cannot be read: {notice.values["problem"]}'


@each(Code.TOO_MANY_CHANNELS)
def _too_many_channels(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" has {notice.values["n_channels"]} channels; expected 1 or 2'


@each(Code.FILE_SILENT)
def _file_silent(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" is silent{_peak(notice)}'


@each(Code.FILE_LOW_LEVEL)
def _file_low_level(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" is very quiet{_peak(notice)}'


def _peak(notice: Notice) -> str:
    peak_dbfs = notice.values["peak_dbfs"]
    return "" if peak_dbfs is None else f": it peaks at {peak_dbfs:.1f} dBFS"


@each(Code.FILE_CLIPPED)
def _file_clipped(notice: Notice, spelling: Spelling) -> str:
    n_places, first_s = notice.values["n_places"], notice.values["first_s"]
    places = f"{n_places} places, first" if n_places > 1 else "one place,"
    return (
        f'"{notice.about}" is clipped: at full scale for 3 samples or more in {places} at '
        f"{first_s:.3f} s"
    )


@each(Code.DC_OFFSET)
def _dc_offset(notice: Notice, spelling: Spelling) -> str:
    return f'"{notice.about}" has a DC offset of {notice.values["mean"]:+.4f} of full scale'


@each(Code.RATE_TOO_LOW)
def _rate_too_low(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    return (
        f'"{notice.about}" and the session have a rate of {of["rate_hz"]} Hz; a mix needs at '
        f"least {of['min_hz']} Hz"
    )


@each(Code.MONO_AS_STEREO)
def _mono_as_stereo(notice: Notice, spelling: Spelling) -> str:
    pair = ", although it stands for a left and a right microphone"
    return (
        f'both channels of "{notice.about}" are the same{pair if notice.values["is_pair"] else ""}'
    )


@each(Code.IDENTICAL_TWINS)
def _identical_twins(notice: Notice, spelling: Spelling) -> str:
    others = ", ".join(f'"{other}"' for other in notice.values["others"])
    return f'"{notice.about}" holds the same samples as {others}'


@each(Code.POLARITY_INVERTED)
def _polarity_inverted(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    partners = "the overheads"
    if len(of["partners"]) == 1:
        partners = f'"{of["partner_files"][0]}" ({of["partners"][0]})'
    sure = f"(confidence {of['confidence']:.0%})"
    if of["role"] != "snare_bottom":
        return f'"{notice.about}" ({of["role"]}) has inverted polarity to {partners} {sure}'
    # A bottom microphone is opposite to the top one by nature, and mixers invert it.
    kept = spelling(Parameter("roles", {"snare_2": notice.about}))
    return (
        f'"{notice.about}" (snare_bottom) has the polarity of {partners}: it was inverted before, '
        f"and would be inverted again; to prevent that: {kept} {sure}"
    )
