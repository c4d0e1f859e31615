"""The hits of a rendered item, as its record in ``items/`` holds them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from drummix.corpus.kit import Piece
from drummix.corpus.manifest import ITEM_LIMITS
from drummix.errors import CorpusError
from drummix.plain_data import Within, read_json


@dataclass(frozen=True)
class ItemHit:
    """One stroke of an item.

    Args:
        time_s: Seconds from the start of the item.
        piece: The piece that was struck.
        velocity: MIDI velocity, 1 to 127.
    """

    takes_other_keys: ClassVar[bool] = True

    time_s: Annotated[float, Within(0.0)]
    piece: Piece
    velocity: Annotated[int, Within(0, 127)]


@dataclass(frozen=True)
class _Record:
    takes_other_keys: ClassVar[bool] = True

    hits: tuple[ItemHit, ...]


def read_item_hits(corpus: Path, item: str) -> tuple[ItemHit, ...]:
    """Hits of an item, in order of time.

    Args:
        corpus: Folder of the corpus.
        item: Name of the item.

    Raises:
        CorpusError: If the item's record is missing, half-written or has no hits in it.
    """
    path = corpus / "items" / f"{item}.json"
    hint = "delete it if it is there, and run the same drummix corpus render again"
    record = read_json(path, _Record, error=CorpusError, hint=hint, limits=ITEM_LIMITS)
    return tuple(sorted(record.hits, key=lambda hit: hit.time_s))


def isolated_hits(
    hits: Sequence[ItemHit],
    piece: Piece,
    *,
    before_s: float,
    after_s: float,
    ignored: Collection[Piece] = (),
) -> tuple[ItemHit, ...]:
    """The hits of a piece that no other hit is near.

    Args:
        hits: All hits of an item, in order of time.
        piece: The piece whose hits are wanted.
        before_s: No other hit may start so long before.
        after_s: Nor so long after.
        ignored: Pieces that may sound all the same.

    >>> one, two = ItemHit(1.0, Piece.SNARE, 90), ItemHit(1.1, Piece.KICK, 90)
    >>> isolated_hits([one, two], Piece.SNARE, before_s=0.1, after_s=0.2)
    ()
    >>> isolated_hits([one, two], Piece.SNARE, before_s=0.1, after_s=0.05) == (one,)
    True
    """
    heard = [hit for hit in hits if hit.piece not in ignored]
    return tuple(
        hit
        for hit in heard
        if hit.piece is piece
        and not any(
            other is not hit and -before_s < other.time_s - hit.time_s < after_s for other in heard
        )
    )
