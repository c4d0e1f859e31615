"""Which folders below a folder are sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drummix.audio import AUDIO_SUFFIXES, FOREIGN_AUDIO_SUFFIXES
from drummix.errors import SessionError
from drummix.session.settings_file import SETTINGS_NAME

RECORDS_NAME = ".drummix-batch"
"""Folder in the output folder that holds what is known of each mix; marks it as one."""

_SOUND_SUFFIXES = AUDIO_SUFFIXES | FOREIGN_AUDIO_SUFFIXES
_NO_SESSIONS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})
"""Folders that systems make for themselves, in lower case."""


@dataclass(frozen=True)
class FoundSession:
    """A folder that directly holds sound files, or one that could not be looked into.

    Args:
        name: Its path below the folder that was searched, with ``/``; that folder's own name if
            it is itself a session.
        folder: The folder, absolute.
        error: Why it could not be looked into; empty if it could.
    """

    name: str
    folder: Path
    error: str = ""


def find_sessions(root: Path, *, leave_out: Path | None = None) -> tuple[FoundSession, ...]:
    """Every folder from `root` down that directly holds sound files, in the order of the names.

    Hidden folders, those that systems make for themselves, and folders that hold the mixes of a
    batch are passed over. Links to folders are followed, but not upwards; each folder is visited
    once.

    Args:
        root: Where to look.
        leave_out: A folder to pass over.

    Raises:
        SessionError: If `root` is no folder, or holds no session.
    """
    if not root.exists():
        raise SessionError(f"{root} does not exist; give a folder of sessions")
    if not root.is_dir():
        raise SessionError(f"{root} is a file; give the folder that the sessions are in")
    # A link to a folder that `root` is in would search what nobody named.
    visited = set(root.resolve().parents)
    if leave_out is not None:
        visited.add(leave_out.resolve())
    found = tuple(_walk(root.absolute(), (), visited))
    if not found:
        raise SessionError(
            f"{root} holds no session: no folder in it, at any depth, has sound files "
            "(WAV, FLAC, AIFF, OGG, MP3)"
        )
    return found


def session_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size in bytes and time of change in ns of each file that a session's mix depends on."""
    files = {}
    for path in sorted(folder.iterdir()):
        if _is_sound_file(path) or path.name == SETTINGS_NAME:
            state = path.stat()
            files[path.name] = (state.st_size, state.st_mtime_ns)
    return files


def _walk(folder: Path, parts: Sequence[str], visited: set[Path]) -> Iterator[FoundSession]:
    try:
        real = folder.resolve()
        name = "/".join(parts) or real.name
        if real in visited:
            return
        visited.add(real)
        paths = sorted(folder.iterdir())
        if (folder / RECORDS_NAME).is_dir():
            return
        if any(_is_sound_file(path) for path in paths):
            yield FoundSession(name, folder)
        inner = [path for path in paths if path.is_dir() and _may_hold_sessions(path.name)]
    except (OSError, RuntimeError) as error:
        # A link that leads to itself is a RuntimeError up to Python 3.12.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        yield FoundSession(
            "/".join(parts) or folder.name, folder, f"{folder} cannot be read: {reason}"
        )
        return
    for path in inner:
        yield from _walk(path, (*parts, path.name), visited)


def _is_sound_file(path: Path) -> bool:
    is_hidden = path.name.startswith(".")
    return not is_hidden and path.suffix.lower() in _SOUND_SUFFIXES and not path.is_dir()


def _may_hold_sessions(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NO_SESSIONS


def is_case_sensitive(folder: Path) -> bool:
    """Whether the file system that `folder` is on tells small letters from capitals."""
    twin = folder.with_name(folder.name.swapcase())
    return not (twin.exists() and twin.samefile(folder))
