"""The hits of a rendered item, as its record in ``items/`` holds them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drummix.corpus.kit import Piece
from drummix.errors import CorpusError


@dataclass(frozen=True)
class ItemHit:
    """One stroke of an item.

    Args:
        time_s: Seconds from the start of the item.
        piece: The piece that was struck.
        velocity: MIDI velocity, 1 to 127.
    """

    time_s: float
    piece: Piece
    velocity: int


def read_item_hits(corpus: Path, item: str) -> tuple[ItemHit, ...]:
    """Hits of an item, in order of time.

    Args:
        corpus: Folder of the corpus.
        item: Name of the item.

    Raises:
        CorpusError: If the item's record is missing, half-written or has no hits in it.
    """
    path = corpus / "items" / f"{item}.json"
    again = "run the same drummix corpus render again"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        hits = [_hit(hit) for hit in plain["hits"]]
    except FileNotFoundError:
        raise CorpusError(f"{path} is missing; {again}") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorpusError(f"{path} is damaged: no list of hits; delete it and {again}") from None
    return tuple(sorted(hits, key=lambda hit: hit.time_s))


def _hit(plain: Any) -> ItemHit:
    hit = ItemHit(float(plain["time_s"]), Piece(plain["piece"]), int(plain["velocity"]))
    if not (math.isfinite(hit.time_s) and hit.time_s >= 0.0):
        raise ValueError(hit.time_s)
    return hit


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
