"""What is said of work on many items."""

from __future__ import annotations

from drummix.errors import Spelling
from drummix.notices.notice import Code, Notice
from drummix.notices.wording.book import each


@each(Code.TRIED_AGAIN)
def _tried_again(notice: Notice, spelling: Spelling) -> str:
    return (
        f"{notice.values['where']} was ended from outside (out of memory?) while it worked on "
        f"{notice.about}; that is tried again after the others, alone"
    )
