"""Which characters a listener's text may hold: those that every file can keep.

Half of a surrogate pair is no UTF-8, and many programs end a text at NUL or choke on other control
characters. What a listener sends is refused where it holds one; what an older study has on its
disk is read with U+FFFD in their place.
"""

from __future__ import annotations

import re

# Tab, line feed and carriage return are text.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def is_storable(text: str) -> bool:
    r"""Whether a text holds nothing that a file could not keep.

    >>> is_storable("one\ntwo"), is_storable("\ud83d"), is_storable("\x00")
    (True, False, False)
    """
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """The text, with U+FFFD for each character that a file could not keep."""
    return _UNSTORABLE.sub("\ufffd", text)
