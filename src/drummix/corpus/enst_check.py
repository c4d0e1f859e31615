"""What of ENST-Drums is missing, damaged or silent on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drummix import audio
from drummix.corpus.enst import EnstItem, EnstTrack, check_is_enst, open_track, published_split
from drummix.corpus.manifest import TARGETS
from drummix.errors import AudioFileError, SettingError
from drummix.pool import FunctionWorker, results_in_order

Progress = Callable[[int, int, str], None]
"""Called with tracks done, tracks in all, and the name of the last one."""

_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class TrackReport:
    """What is on disk of a track.

    Args:
        track: The track.
        duration_s: Its length; None where it cannot be used.
        problems: What is wrong with it, a line each.
    """

    track: EnstTrack
    duration_s: float | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class EnstReport:
    """What is on disk of ENST-Drums.

    Args:
        folder: Its folder.
        tracks: Every track of the published split.
        strangers: Mixes on disk that the split does not name.
    """

    folder: Path
    tracks: tuple[TrackReport, ...]
    strangers: tuple[Path, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, a line each."""
        return tuple(problem for track in self.tracks for problem in track.problems)


def check_enst(
    folder: Path | str,
    *,
    listen: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> EnstReport:
    """Find what of ENST-Drums is missing, unreadable or unlike the rest, file by file.

    Args:
        folder: The folder that holds the drummers' folders.
        listen: Read every file to its end: damage behind the header, and files that are silent
            throughout. Without it only headers are read.
        workers: Processes that read at the same time.
        progress: Called after every track.

    Raises:
        CorpusError: If the folder is not ENST-Drums.
        SettingError: If `workers` is below 1.
    """
    root = Path(folder)
    check_is_enst(root)
    tracks = published_split()
    if workers < 1:
        raise SettingError("workers", workers, "give 1 or more")
    reports: list[TrackReport] = results_in_order(
        tracks,
        partial(FunctionWorker, partial(_report, root, listen)),
        name_of=lambda track: track.name,
        died=lambda track, died: TrackReport(track, None, (f"{track.name}: {died.why}",)),
        n_workers=workers,
        progress=progress,
    )
    known = {track.mix_path(root, target) for track in tracks for target in TARGETS}
    on_disk = {path for target in TARGETS for path in root.glob(f"drummer_*/{target}_mix/*.wav")}
    return EnstReport(root, tuple(reports), tuple(sorted(on_disk - known)))


def _report(folder: Path, listen: bool, track: EnstTrack) -> TrackReport:
    found = open_track(folder, track)
    if not isinstance(found, EnstItem):
        return TrackReport(track, None, tuple(found))
    problems = []
    for path in found.paths(folder) if listen else ():
        try:
            if not _sounds(path):
                problems.append(f"{path} is silent throughout")
        except AudioFileError as error:
            problems.append(str(error))
    return TrackReport(track, found.duration_s, tuple(problems))


def _sounds(path: Path) -> bool:
    """Whether any sample is not zero; the file is read to its end."""
    with audio.BlockReader(path) as reader:
        # Every block is read: the damage may be at the end.
        return sum(bool(block.any()) for block in reader.blocks(_BLOCK_SAMPLES)) > 0
