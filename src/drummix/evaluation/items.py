"""The items of a corpus, as an evaluation takes them: which ones, and what is in them.

In: rows of a manifest. Out: a session of the eight microphones and the target mixes, in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix import audio
from drummix.corpus.manifest import MICROPHONE_FOLDERS, CorpusItem, Target
from drummix.errors import CorpusError, SettingError
from drummix.session import Session, open_session

FloatArray = NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 17


@dataclass(frozen=True, eq=False)
class OpenItem:
    """An item with its audio.

    Args:
        item: Its row of the manifest.
        session: Its microphones, each with the role it was recorded in.
        targets: Target -> mix (2, samples).
    """

    item: CorpusItem
    session: Session
    targets: Mapping[Target, FloatArray]

    def blocks_with(self, target: Target) -> Iterator[tuple[FloatArray, FloatArray]]:
        """The stems (stems, samples) with a target (2, samples) beside them, block by block."""
        start = 0
        for stems in self.session.blocks(_BLOCK_SAMPLES):
            stop = start + stems.shape[1]
            yield stems, self.targets[target][:, start:stop]
            start = stop


def choose_items(items: Sequence[CorpusItem], *, limit: int | None) -> tuple[CorpusItem, ...]:
    """The first `limit` items of a shuffled order in which the kits take turns.

    The order follows from the items' names alone, so that it is the same on every machine, and
    fewer items are always among more.

    Args:
        items: Rows of a manifest, in any order.
        limit: How many to take; None takes all.

    Raises:
        SettingError: If `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise SettingError(f"a limit of {limit} items; give 1 or more")
    queues: dict[str, list[CorpusItem]] = {}
    for item in sorted(items, key=lambda item: hashlib.sha256(item.item.encode()).digest()):
        queues.setdefault(item.kit, []).append(item)
    in_turn = [
        (turn, kit, item) for kit, queue in queues.items() for turn, item in enumerate(queue)
    ]
    in_turn.sort(key=lambda entry: entry[:2])
    return tuple(item for _, _, item in in_turn[:limit])


def open_item(corpus: Path, item: CorpusItem, targets: Sequence[Target]) -> OpenItem:
    """Read an item's microphones and targets.

    Roles come from the manifest, never from file names.

    Args:
        corpus: Folder of the corpus.
        item: Row of its manifest.
        targets: Which target mixes to read.

    Raises:
        AudioFileError: If a file is missing or damaged.
        CorpusError: If a file is not as the manifest says, or a target is silent.
    """
    stems = {
        str(role): _read(item, item.stem_path(corpus, role), n_channels=1)
        for role in MICROPHONE_FOLDERS
    }
    mixes: dict[Target, FloatArray] = {}
    for target in targets:
        path = item.mix_path(corpus, target)
        mixes[target] = _read(item, path, n_channels=2).samples
        if not np.any(mixes[target]):
            raise CorpusError(f"{path} is silent: there is nothing to compare a mix with")
    return OpenItem(item, open_session(stems, roles={role: role for role in stems}), mixes)


def _read(item: CorpusItem, path: Path, *, n_channels: int) -> audio.Audio:
    found = audio.read(path)
    is_as_said = (found.n_channels, found.n_samples, found.rate_hz) == (
        n_channels,
        item.n_samples,
        item.rate_hz,
    )
    if not is_as_said:
        raise CorpusError(
            f"{path} has {found.n_channels} channel(s), {found.n_samples} samples at "
            f"{found.rate_hz} Hz; expected {n_channels}, {item.n_samples} at {item.rate_hz} Hz by "
            "the manifest: render the item again"
        )
    return found
