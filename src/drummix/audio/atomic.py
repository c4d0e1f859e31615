"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import itertools
import os
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
    `target` before stays as it was. The temporary name is hidden and keeps the suffix.

    Args:
        target: Where the finished file shall be; its folder must exist.

    Yields:
        The path to write to.

    Raises:
        OutputError: If the folder is missing or not writable, `target` is a folder, or the disk
            is full.
    """
    target = Path(target)
    if target.is_symlink():
        target = target.resolve()
    if not target.parent.is_dir():
        raise OutputError(f"{target} cannot be written: folder {target.parent} does not exist")
    if target.is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file to write")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is a device; expected the name of a file to write")
    number = f"{os.getpid()}-{next(_temporary_number)}"
    temporary = target.with_name(f".{target.stem[:40]}.{number}.partial{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if error.errno not in _OUTPUT_ERRNOS and error.filename != str(temporary):
            raise
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}; "
            f"{_REMEDIES.get(error.errno or 0, 'choose another place')}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
