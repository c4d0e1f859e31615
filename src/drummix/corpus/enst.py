"""ENST-Drums as it was published, with the split of the paper.

Layout::

    drummer_N/audio/<mic>/<track>.wav   hi-hat kick snare tom_1 tom_2 (tom_3) overhead_L overhead_R
    drummer_N/dry_mix/<track>.wav       stereo
    drummer_N/wet_mix/<track>.wav

The third drummer alone has a tom_3; for the others it is silence.

Source: Gillet and Richard, ISMIR 2006; the split (drummer, file, type and part of 318 tracks) is
that of Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, as their index has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from drummix import audio
from drummix.corpus.items import LENGTH_SLACK_S, Corpus, LeftOut
from drummix.corpus.manifest import MICROPHONE_FOLDERS, TARGETS, Target
from drummix.errors import AudioFileError, CorpusError
from drummix.levels import peak_dbfs
from drummix.plain_data.tables import read_rows
from drummix.roles import Role

DRUMMERS = ("drummer_1", "drummer_2", "drummer_3")
KINDS = ("hits", "phrase", "solo", "minus-one")
"""The four kinds of tracks."""

_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class EnstTrack:
    """A track as the published split names it.

    Args:
        part: ``train``, ``validation`` or ``test``.
        drummer: Whose kit, and the folder of the files.
        track: Name of its files without suffix.
        kind: One of `KINDS`.
        has_tom_3: Whether the kit has a third tom.
    """

    part: str
    drummer: str
    track: str
    kind: str
    has_tom_3: bool

    @property
    def name(self) -> str:
        """A name that no other track has: the drummers' track names overlap."""
        return f"{self.drummer}_{self.track}"

    @property
    def style(self) -> str:
        """What is played, from the track's name.

        >>> EnstTrack("train", "drummer_1", "040_phrase_disco_complex_medium_sticks", "phrase",
        ...           False).style
        'disco'
        """
        words = self.track.split("_")
        if self.kind == "hits" or len(words) < 3:
            return self.kind
        return re.sub(r"-\d+(-.*)?$", "", words[2])

    def stem_path(self, folder: Path, role: Role) -> Path:
        """Where a microphone's file lies, if there is one."""
        microphone = MICROPHONE_FOLDERS[role]
        return folder / self.drummer / "audio" / microphone / f"{self.track}.wav"

    def mix_path(self, folder: Path, target: Target) -> Path:
        """Where a mix lies."""
        return folder / self.drummer / f"{target}_mix" / f"{self.track}.wav"

    def stem_paths(self, folder: Path) -> dict[Role, Path]:
        """The microphones that there are, or should be."""
        paths = {role: self.stem_path(folder, role) for role in MICROPHONE_FOLDERS}
        third = paths[Role.TOM_MID_LOW]
        if not self.has_tom_3 and not third.is_file():
            del paths[Role.TOM_MID_LOW]
        return paths


@dataclass(frozen=True)
class EnstItem:
    """A track that is whole on disk, as training and evaluation take it.

    Args:
        item: Name of the item.
        part: Its part.
        track: What it is.
        folder: Folder of ENST-Drums.
        stems: Microphone -> its file, for those that there are.
        rate_hz: Sample rate in Hz of every file.
        n_samples: Length of the shortest file in samples.
    """

    item: str
    part: str
    track: EnstTrack
    folder: Path
    stems: Mapping[Role, Path] = field(hash=False)
    rate_hz: int
    n_samples: int

    @property
    def kit(self) -> str:
        """The drummer: each played a kit of their own."""
        return self.track.drummer

    @property
    def performance(self) -> str:
        """Name of the track's files."""
        return self.track.track

    @property
    def style(self) -> str:
        """What is played."""
        return self.track.style

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz

    @property
    def sha256(self) -> str:
        """No checksum is published."""
        return ""

    @cached_property
    def dry_peak_dbfs(self) -> float:
        """Peak of the dry mix; the file is read for it once."""
        return _peak_dbfs(self.mix_path(self.folder, "dry"))

    @cached_property
    def wet_peak_dbfs(self) -> float:
        """Peak of the wet mix; the file is read for it once."""
        return _peak_dbfs(self.mix_path(self.folder, "wet"))

    def stem_path(self, corpus: Path, role: Role) -> Path | None:
        """File of a microphone; None where the kit has none."""
        return self.stems.get(role)

    def mix_path(self, corpus: Path, target: Target) -> Path:
        """File of a mix."""
        return self.track.mix_path(self.folder, target)

    def paths(self, corpus: Path) -> list[Path]:
        """All files, microphones first."""
        return [*self.stems.values(), *(self.mix_path(corpus, target) for target in TARGETS)]


@cache
def published_split() -> tuple[EnstTrack, ...]:
    """The 318 tracks of the paper's split: 284 train, 20 validation, 14 test."""
    content = (files("drummix.corpus") / "enst_split.csv").read_bytes()
    return tuple(
        EnstTrack(
            part=row.part,
            drummer=row.drummer,
            track=row.file.removesuffix(".wav"),
            kind=row.type,
            has_tom_3=row.has_tom_3 == "yes",
        )
        for row in read_rows(content, _SplitRow, error=CorpusError, name="enst_split.csv")
    )


@dataclass(frozen=True)
class _SplitRow:
    takes_other_keys: ClassVar[bool] = True

    part: str
    drummer: str
    file: str
    type: str
    has_tom_3: Literal["yes", "no"]


def is_enst(folder: Path) -> bool:
    """Whether a folder holds a drummer of ENST-Drums."""
    return any((folder / drummer / "audio").is_dir() for drummer in DRUMMERS)


def open_enst(folder: Path | str) -> Corpus:
    """Open ENST-Drums: the tracks of the published split that are whole on disk.

    Only headers are read. A track with a missing file, a file that is no sound, or files that do
    not go together is left out, and the corpus says so.

    Args:
        folder: The folder that holds ``drummer_1``, ``drummer_2`` and ``drummer_3``.

    Raises:
        CorpusError: If none of them is there, or no track is whole.
    """
    root = Path(folder)
    check_is_enst(root)
    items: list[EnstItem] = []
    left_out: list[LeftOut] = []
    for track in published_split():
        found = open_track(root, track)
        if isinstance(found, EnstItem):
            items.append(found)
        else:
            left_out.append(LeftOut(track.name, track.part, found[0]))
    if not items:
        raise CorpusError(
            f"{root} has no whole track of ENST-Drums: {left_out[0].problem}; "
            f"for all of it: drummix corpus enst {root} --check"
        )
    return Corpus(str(root), root, tuple(items), tuple(left_out))


def check_is_enst(folder: Path) -> None:
    """Refuse a folder that is not ENST-Drums.

    Raises:
        CorpusError: If it holds no drummer's folder.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder; give that of ENST-Drums")
    if not is_enst(folder):
        raise CorpusError(
            f"{folder} holds no {DRUMMERS[0]}/audio, nor that of another drummer; "
            f"give the folder of ENST-Drums that holds {', '.join(DRUMMERS)}"
        )


def open_track(folder: Path, track: EnstTrack) -> EnstItem | list[str]:
    """A track by the headers of its files, or everything that is wrong with it, a line each."""
    stems = track.stem_paths(folder)
    wanted = dict.fromkeys(stems.values(), 1)
    wanted |= {track.mix_path(folder, target): 2 for target in TARGETS}
    problems: list[str] = []
    infos: list[audio.AudioInfo] = []
    for path, n_channels in wanted.items():
        if not path.is_file():
            problems.append(f"{path} is missing")
            continue
        try:
            infos.append(audio.probe(path))
        except AudioFileError as error:
            problems.append(str(error))
            continue
        if infos[-1].n_channels != n_channels:
            problems.append(f"{path} has {infos[-1].n_channels} channels; expected {n_channels}")
    problems += _disagreements(infos)
    if problems:
        return problems
    return EnstItem(
        item=track.name,
        part=track.part,
        track=track,
        folder=folder,
        stems=stems,
        rate_hz=infos[0].rate_hz,
        n_samples=min(info.n_samples for info in infos),
    )


def _disagreements(infos: list[audio.AudioInfo]) -> list[str]:
    """Files whose rate or length is not that of the others of their track."""
    if not infos:
        return []
    rates = [info.rate_hz for info in infos]
    rate_hz = max(sorted(set(rates)), key=rates.count)
    problems = [
        f"{info.path} is at {info.rate_hz} Hz, the track at {rate_hz} Hz"
        for info in infos
        if info.rate_hz != rate_hz
    ]
    of_rate = [info for info in infos if info.rate_hz == rate_hz]
    typical_s = float(np.median([info.duration_s for info in of_rate]))
    return problems + [
        f"{info.path} lasts {info.duration_s:.3f} s, the track {typical_s:.3f} s"
        for info in of_rate
        if abs(info.duration_s - typical_s) > LENGTH_SLACK_S / 2
    ]


def _peak_dbfs(path: Path) -> float:
    with audio.BlockReader(path) as reader:
        return max(peak_dbfs(block) for block in reader.blocks(_BLOCK_SAMPLES))
