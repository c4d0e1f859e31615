"""Which characters a listener's text may hold: those that every file can keep.

Half of a surrogate pair is no UTF-8, and many programs end a text at NUL or choke on other control
characters. What a listener sends is refused where it holds one; what an older study has on its
disk is read with U+FFFD in their place. A spreadsheet computes a cell that starts like a formula,
so an apostrophe stands before it in a table.
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


_FORMULA = re.compile("'*[=+@\t\r-]")
_NO_FORMULA = re.compile("''*[=+@\t\r-]")


def cell_of(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula; `text_of` undoes it.

    >>> cell_of("=1+1"), cell_of("'=1+1"), cell_of("1+1")
    ("'=1+1", "''=1+1", '1+1')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def text_of(cell: str) -> str:
    """The text that `cell_of` made a cell of.

    >>> text_of("'=1+1"), text_of("'tis loud")
    ('=1+1', "'tis loud")
    """
    return cell[1:] if _NO_FORMULA.match(cell) else cell


def count_unstorable(text: str) -> int:
    """How many characters of a text no file could keep."""
    return len(_UNSTORABLE.findall(text))
