"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import itertools
import os
import platform
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drummix.errors import OutputError

_OUTPUT_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_REMEDIES = {
    errno.ENOSPC: "free space on its disk, or choose another place",
    errno.EDQUOT: "free space in your quota, or choose another place",
    errno.EACCES: "make its folder writable, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}
_temporary_number = itertools.count()

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
"""Machines of a cluster share folders, and number their processes alike."""
_LEFTOVER = re.compile(rf"\..*\.{_HOST}-(\d+)-\d+\.partial(\.\w+)*")
_tidied: set[Path] = set()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made: {error.strerror or error}; choose another place"
        ) from error


def write_text(path: Path, text: str) -> Path:
    """Write a text file beside its target and rename it.

    Raises:
        OutputError: As `atomic_path` does.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """A temporary file beside `target` that takes its place when the block ends well.

    On any exception, KeyboardInterrupt included, the temporary file is removed and what was at
    `target` before stays as it was. The temporary name is hidden and keeps the suffix. File and
    folder are on the disk when the block has ended: a power cut leaves the old file or the new one.
    What killed runs of drummix left in the folder is removed.

    Args:
        target: Where the finished file shall be; its folder must exist.

    Yields:
        The path to write to.

    Raises:
        OutputError: If the folder is missing or not writable, `target` is a folder, or the disk
            is full.
    """
    target = _followed(Path(target))
    if not target.parent.is_dir():
        raise OutputError(f"{target} cannot be written: folder {target.parent} does not exist")
    if target.is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file to write")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is a device; expected the name of a file to write")
    if target.parent.absolute() not in _tidied:
        _tidied.add(target.parent.absolute())
        remove_leftovers(target.parent)
    number = f"{_HOST}-{os.getpid()}-{next(_temporary_number)}"
    temporary = target.with_name(f".{target.stem[:40]}.{number}.partial{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        if not target.parent.is_dir():
            raise _moved(target)
        _to_disk(temporary)
        temporary.replace(target)
        _to_disk(target.parent)
    except OSError as error:
        if not target.parent.is_dir():
            raise _moved(target) from error
        if error.errno not in _OUTPUT_ERRNOS and error.filename != str(temporary):
            raise
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}; "
            f"{_REMEDIES.get(error.errno or 0, 'choose another place')}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, is_deep: bool = False) -> None:
    """Remove the unfinished files of killed runs of drummix on this machine.

    Files of a run that is still going on are not touched.

    Args:
        folder: Where to look.
        is_deep: Whether to look in the folders below too.
    """
    if os.name != "posix" or not folder.is_dir():
        return
    for path in folder.rglob(".*.partial*") if is_deep else folder.glob(".*.partial*"):
        match = _LEFTOVER.fullmatch(path.name)
        if match is not None and not _is_running(int(match[1])):
            path.unlink(missing_ok=True)


def _followed(target: Path) -> Path:
    if not target.is_symlink():
        return target
    try:
        return target.resolve(strict=False)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop, before Python 3.13
        raise OutputError(
            f"{target} is a link that leads back to itself; choose another name"
        ) from error


def _moved(target: Path) -> OutputError:
    return OutputError(
        f"{target} cannot be written: its folder {target.parent} was moved or removed meanwhile; "
        "leave it where it is, and run this again"
    )


def _to_disk(path: Path) -> None:
    """Wait until a file's or folder's content is on the disk, where the system can tell."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of networks and containers know no such call.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
