"""Sessions with their mixes, wherever they come from: what training and evaluation ask of them.

A rendered corpus and ENST-Drums are both a `Corpus` of `SessionItem`; `drummix.corpus.opening`
opens either. Samples come as float32, eight stems in the order of `PAPER_ROLES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drummix import audio
from drummix.corpus.manifest import Target
from drummix.errors import CorpusError, joined
from drummix.levels import db_to_gain
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES, Role

FloatArray = NDArray[np.float32]

LENGTH_SLACK_S = 0.1
"""A file may be so much longer than its item; the rest is not heard."""


class SessionItem(Protocol):
    """One session: eight microphones and its mixes, as files of one rate and length."""

    @property
    def item(self) -> str:
        """Name, unique in its corpus."""

    @property
    def part(self) -> str:
        """``train``, ``validation`` or ``test``."""

    @property
    def kit(self) -> str:
        """The kit, or the drummer where each has one."""

    @property
    def performance(self) -> str:
        """Name of the performance in its own data set."""

    @property
    def style(self) -> str:
        """Style of the performance."""

    @property
    def rate_hz(self) -> int:
        """Sample rate in Hz of every file."""

    @property
    def n_samples(self) -> int:
        """Length in samples."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""

    @property
    def dry_peak_dbfs(self) -> float:
        """Peak of the dry mix."""

    @property
    def wet_peak_dbfs(self) -> float:
        """Peak of the wet mix."""

    @property
    def sha256(self) -> str:
        """Checksum over the item's files; empty where none is kept."""

    def stem_path(self, corpus: Path, role: Role) -> Path | None:
        """File of a microphone; None where there was none, which is silence."""

    def mix_path(self, corpus: Path, target: Target) -> Path:
        """File of a mix."""

    def paths(self, corpus: Path) -> list[Path]:
        """All files, microphones first."""


@dataclass(frozen=True)
class LeftOut:
    """A session that a corpus should have and that cannot be used as it is on disk.

    Args:
        item: Name of the item.
        part: The part it belongs to.
        problem: What is wrong, one line.
    """

    item: str
    part: str
    problem: str


@dataclass(frozen=True)
class Corpus:
    """Sessions of one origin, in parts.

    Args:
        name: What the user called it.
        folder: Where the files lie: the first argument of the items' paths.
        items: Every item that can be used.
        left_out: Those that cannot.
    """

    name: str
    folder: Path
    items: tuple[SessionItem, ...]
    left_out: tuple[LeftOut, ...] = ()

    def part(self, name: str | None) -> tuple[SessionItem, ...]:
        """Items of one part; None for all.

        Raises:
            CorpusError: If there is none.
        """
        chosen = tuple(item for item in self.items if name in (None, item.part))
        if not chosen:
            wanted = "" if name is None else f" of part {name!r}"
            parts = ", ".join(sorted({item.part for item in self.items})) or "none"
            missing = f"{self.name} has no items{wanted}; parts it has: {parts}"
            raise CorpusError(*joined((missing, *self.notices(name))))
        return chosen

    def notices(self, part: str | None = None) -> tuple[Notice, ...]:
        """What a user of a part should know: where sessions of it are left out."""
        missed = [left for left in self.left_out if part in (None, left.part)]
        if not missed:
            return ()
        values = {"n_sessions": len(missed), "part": part, "first_problem": missed[0].problem}
        return (Notice(Code.SESSIONS_LEFT_OUT, str(self.folder), values),)


def read_stems(corpus: Path, item: SessionItem) -> FloatArray:
    """The microphones of an item, (8, samples) in the order of `PAPER_ROLES`.

    A microphone that there was not is silence.

    Raises:
        AudioFileError: If a file is missing or damaged.
        CorpusError: If a file is not as the corpus says.
    """
    stems = np.zeros((len(PAPER_ROLES), item.n_samples), dtype=np.float32)
    for slot, role in enumerate(PAPER_ROLES):
        if (stem := read_stem(corpus, item, role)) is not None:
            stems[slot] = stem[0]
    return stems


def read_stem(corpus: Path, item: SessionItem, role: Role) -> FloatArray | None:
    """One microphone of an item, (1, samples); None where there was none.

    Raises:
        AudioFileError: If the file is missing or damaged.
        CorpusError: If the file is not as the corpus says.
    """
    path = item.stem_path(corpus, role)
    return None if path is None else _read(item, path, n_channels=1)


def read_mix(
    corpus: Path, item: SessionItem, target: Target, *, peak_normalised: bool = False
) -> FloatArray:
    """A mix of an item, (2, samples).

    Args:
        corpus: Folder of the corpus.
        item: The item.
        target: Which mix.
        peak_normalised: Scale it to a peak of 1.0, as the paper's authors did with ENST-Drums;
            silence stays silence.

    Raises:
        AudioFileError: If the file is missing or damaged.
        CorpusError: If the file is not as the corpus says.
    """
    mix = _read(item, item.mix_path(corpus, target), n_channels=2)
    if not peak_normalised:
        return mix
    peak_dbfs = item.dry_peak_dbfs if target == "dry" else item.wet_peak_dbfs
    return mix * np.float32(db_to_gain(-peak_dbfs))


def _read(item: SessionItem, path: Path, *, n_channels: int) -> FloatArray:
    found = audio.read(path)
    n_longest = item.n_samples + round(LENGTH_SLACK_S * item.rate_hz)
    is_as_said = (found.n_channels, found.rate_hz) == (
        n_channels,
        item.rate_hz,
    ) and item.n_samples <= found.n_samples <= n_longest
    if not is_as_said:
        raise CorpusError(
            f"{path} has {found.n_channels} channel(s), {found.n_samples} samples at "
            f"{found.rate_hz} Hz; expected {n_channels}, {item.n_samples} at {item.rate_hz} Hz: "
            "render or copy the item again"
        )
    return found.samples[:, : item.n_samples]
