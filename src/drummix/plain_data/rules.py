"""What a field of a class may hold beyond its type: ``Annotated[int, Within(1, 64)]``."""

from __future__ import annotations

import math
import re
from collections.abc import Sized as HasLength
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Within:
    """A number within limits.

    Args:
        low: Lowest value.
        high: Highest value.
        is_above: Whether `low` itself is refused.
        is_below: Whether `high` itself is refused.

    >>> Within(1, 64).takes(65), str(Within(0.0, 1.0, is_below=True)), str(Within(1))
    (False, 'of 0 or more and below 1', 'of 1 or more')
    """

    low: float
    high: float = math.inf
    is_above: bool = False
    is_below: bool = False

    def takes(self, value: float) -> bool:
        """Whether a number is within the limits; what is not a number never is."""
        is_above = value > self.low if self.is_above else value >= self.low
        return is_above and (value < self.high if self.is_below else value <= self.high)

    def __str__(self) -> str:
        low, high = f"{self.low:.15g}", f"{self.high:.15g}"
        if self.high == math.inf:
            return f"above {low}" if self.is_above else f"of {low} or more"
        if not (self.is_above or self.is_below):
            return f"from {low} to {high}"
        start = f"above {low}" if self.is_above else f"of {low} or more"
        return f"{start} and below {high}" if self.is_below else f"{start} and up to {high}"


@dataclass(frozen=True)
class Sized:
    """A text, list or table of limited length.

    Args:
        low: Fewest characters or entries.
        high: Most of them.
    """

    low: int
    high: int

    def takes(self, value: HasLength) -> bool:
        """Whether the length is within the limits."""
        return self.low <= len(value) <= self.high


@dataclass(frozen=True)
class Matching:
    """A text that matches a pattern as a whole.

    Args:
        pattern: A regular expression.
        words: What it stands for, as it follows "expected".
    """

    pattern: str
    words: str

    def takes(self, value: str) -> bool:
        """Whether a text matches."""
        return re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class PathRule:
    """A text that can be a path: operating systems refuse longer ones, each with its own error."""

    words: str = "a path of at most 4000 characters, each name in it of at most 255 bytes"

    def takes(self, value: str) -> bool:
        """Whether a text is short enough."""
        names = re.split(r"[/\\]", value)
        return 0 < len(value) <= 4000 and all(len(name.encode()) <= 255 for name in names)


PathText = Annotated[str, PathRule()]
"""A text that names a file or a folder."""

Rule = Within | Sized | Matching | PathRule


class _MayBeInfinite:
    """Marks a float that may be infinite or not a number."""


AnyFloat = Annotated[float, _MayBeInfinite()]
"""A float that may be infinite or not a number, as the level of silence is."""


def may_be_infinite(rule: object) -> bool:
    """Whether a rule is that of `AnyFloat`."""
    return isinstance(rule, _MayBeInfinite)
