"""The items of a corpus, as an evaluation takes them: which ones, and what is in them.

In: items of a corpus. Out: a session of the eight microphones and the target mixes, in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drummix import audio
from drummix.corpus.items import SessionItem, read_mix, read_stem
from drummix.corpus.manifest import MICROPHONE_FOLDERS, Target
from drummix.errors import CorpusError, SettingError
from drummix.session import Session, open_session

FloatArray = NDArray[np.float32]

Item = TypeVar("Item", bound=SessionItem)

_BLOCK_SAMPLES = 1 << 17


@dataclass(frozen=True, eq=False)
class OpenItem:
    """An item with its audio.

    Args:
        item: The item.
        session: The microphones that there are, each with the role it was recorded in.
        targets: Target -> mix (2, samples).
    """

    item: SessionItem
    session: Session
    targets: Mapping[Target, FloatArray]

    def blocks_with(self, target: Target) -> Iterator[tuple[FloatArray, FloatArray]]:
        """The stems (stems, samples) with a target (2, samples) beside them, block by block."""
        start = 0
        for stems in self.session.blocks(_BLOCK_SAMPLES):
            stop = start + stems.shape[1]
            yield stems, self.targets[target][:, start:stop]
            start = stop


def choose_items(items: Sequence[Item], *, limit: int | None) -> tuple[Item, ...]:
    """The first `limit` items of a shuffled order in which the kits take turns.

    The order follows from the items' names alone, so that it is the same on every machine, and
    fewer items are always among more.

    Args:
        items: Items of a corpus, in any order.
        limit: How many to take; None takes all.

    Raises:
        SettingError: If `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise SettingError("limit", limit, "give 1 or more")
    queues: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: hashlib.sha256(item.item.encode()).digest()):
        queues.setdefault(item.kit, []).append(item)
    in_turn = [
        (turn, kit, item) for kit, queue in queues.items() for turn, item in enumerate(queue)
    ]
    in_turn.sort(key=lambda entry: entry[:2])
    return tuple(item for _, _, item in in_turn[:limit])


def open_item(corpus: Path, item: SessionItem, targets: Sequence[Target]) -> OpenItem:
    """Read an item's microphones and targets.

    Roles come from the corpus, never from file names.

    Args:
        corpus: Folder of the corpus.
        item: One of its items.
        targets: Which target mixes to read.

    Raises:
        AudioFileError: If a file is missing or damaged.
        CorpusError: If a file is not as the corpus says, or a target is silent.
    """
    stems = {
        str(role): audio.Audio(stem, item.rate_hz)
        for role in MICROPHONE_FOLDERS
        if (stem := read_stem(corpus, item, role)) is not None
    }
    mixes = {target: read_mix(corpus, item, target) for target in targets}
    for target, mix in mixes.items():
        if not np.any(mix):
            path = item.mix_path(corpus, target)
            raise CorpusError(f"{path} is silent: there is nothing to compare a mix with")
    return OpenItem(item, open_session(stems, roles={role: role for role in stems}), mixes)
