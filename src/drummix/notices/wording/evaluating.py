"""What is said of files that are compared, and of an evaluation's report."""

from __future__ import annotations

from drummix.errors import Parameter, Spelling
from drummix.notices import Code, Notice
from drummix.notices.wording.book import each


@each(Code.COMPARED_RESAMPLED)
def _compared_resampled(notice: Notice, spelling: Spelling) -> str:
    from_hz, to_hz = notice.values["from_hz"], notice.values["to_hz"]
    return f"{notice.about} is resampled from {from_hz} to {to_hz} Hz"


@each(Code.COMPARED_MONO)
def _compared_mono(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} is mono: heard from both sides"


@each(Code.COMPARED_SILENT)
def _compared_silent(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} is silent: what has no value without sound is left open"


@each(Code.COMPARED_LATE)
def _compared_late(notice: Notice, spelling: Spelling) -> str:
    align = spelling(Parameter("align", True))
    as_it_lies = f"SI-SDR, SDR and L1 are of the signals as they lie ({align} moves it)"
    return f"{_late(notice)}: {as_it_lies}"


@each(Code.COMPARED_ALIGNED)
def _compared_aligned(notice: Notice, spelling: Spelling) -> str:
    return f"{_late(notice)}: moved to where it fits best"


def _late(notice: Notice) -> str:
    late = notice.values["late_samples"]
    return f"{notice.about} is {abs(late)} samples {'late' if late > 0 else 'early'}"


@each(Code.COMPARED_LONGER)
def _compared_longer(notice: Notice, spelling: Spelling) -> str:
    longer_s, shared_s = notice.values["longer_s"], notice.values["shared_s"]
    return f"{notice.about} is {longer_s:.3f} s longer: the first {shared_s:.3f} s are compared"


@each(Code.RESULTS_MADE_ANEW)
def _results_made_anew(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    why = {
        "damaged": "damaged",
        "weights": "from other weights (sha256 {before}, now {now})",
        "item": "from other audio of the same name",
        "levels": f"with other levels of the stems ({spelling(Parameter('as_recorded', True))})",
        "drummix": "by another drummix ({before}, now {now})",
    }[of["reason"]]
    kept = f"{of['n_results']} kept result{'s' if of['n_results'] > 1 else ''}"
    reason = why.format(before=of["before"], now=of["now"])
    return f"{kept} of {notice.about}: {reason}; mixed again"


@each(Code.ITEMS_NOT_ON_PAGE)
def _items_not_on_page(notice: Notice, spelling: Spelling) -> str:
    shown, of = notice.values["n_shown"], notice.values["n_items"]
    return (
        f"only the first {shown} of {of} items can be heard on the page; the mixes of all are in "
        "mixes/"
    )


@each(Code.ITEM_NOT_ON_PAGE)
def _item_not_on_page(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} cannot be heard on the page: {notice.values['problem']}"
