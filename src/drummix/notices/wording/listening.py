"""What is said of listening tests."""

from __future__ import annotations

from drummix.errors import Spelling
from drummix.notices import Code, Notice
from drummix.notices.wording.book import each


@each(Code.CHARACTERS_REPLACED)
def _characters_replaced(notice: Notice, spelling: Spelling) -> str:
    n = notice.values["n_characters"]
    count = "1 character" if n == 1 else f"{n} characters"
    return (
        f"{notice.about}: what listeners wrote holds {count} that no file can keep; U+FFFD stands "
        "in the place"
    )


@each(Code.SWITCHES_CROSS_FADE)
def _switches_cross_fade(notice: Notice, spelling: Spelling) -> str:
    return "the Web Audio Evaluation Tool cross-fades when it switches; its shortest fade is set"


@each(Code.REFERENCE_IS_GIVEN)
def _reference_is_given(notice: Notice, spelling: Spelling) -> str:
    return (
        "webMUSHRA always plays one given reference: each page names the first mix with the role "
        "reference, or the first of all, as that; the others are conditions"
    )


@each(Code.REPEATS_LEFT_OUT)
def _repeats_left_out(notice: Notice, spelling: Spelling) -> str:
    return f"webMUSHRA has no repeated pages; {notice.values['n_pages']} of them are left out"
