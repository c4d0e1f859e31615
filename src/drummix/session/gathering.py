"""What a folder or a mapping holds: files, headers, and what the user said about them.

In: a folder or mapping, and roles. Out: `Gathered`. Nothing is decided or mixed here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from drummix.audio import (
    AUDIO_SUFFIXES,
    FOREIGN_AUDIO_SUFFIXES,
    Audio,
    AudioInfo,
    probe,
    sample_fault,
)
from drummix.errors import AudioFileError, Parameter, Part, RoleError, SessionError
from drummix.notices import Code, Notice
from drummix.roles import LEFT_OUT_ROLES, Guess, Role, identify, parse_role
from drummix.session.settings_file import SETTINGS_NAME, read_settings

Sounding = tuple[ArrayLike, int]
"""Samples (samples,) or (channels, samples), floats of full scale 1.0, and their rate in Hz."""
Source = Path | str | Mapping[str, Path | str | Audio | Sounding]
Roles = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """One file or array of a session.

    Args:
        name: File name, or key of the mapping.
        content: Where its samples are.
        info: Its header; None if it cannot be read.
        error: Why it cannot be read; None if it can.
        said: The role the user gave it; None to go by the name.
    """

    name: str
    content: Path | Audio
    info: AudioInfo | None
    error: AudioFileError | None = None
    said: Guess | None = None


@dataclass(frozen=True)
class Gathered:
    """All that was found for a session.

    Args:
        name: Name of the session: the folder's.
        folder: The folder; None for a mapping.
        entries: Its sound files, in the order of their names.
        notices: What a person should know about files that were passed over.
    """

    name: str
    folder: Path | None
    entries: tuple[Entry, ...]
    notices: tuple[Notice, ...] = ()


def gather(source: Source, *, roles: Roles | None = None) -> Gathered:
    """Find the sound files of a session and read their headers.

    Args:
        source: A folder (not its folders), or role or name -> path, `Audio`, or samples with their
            rate in Hz.
        roles: Role -> file name, list of names or pattern; wins over ``session.toml`` and names.

    Raises:
        SessionError: If the folder is missing or holds no sound file, or ``session.toml`` is wrong.
        RoleError: If `roles` names no role or no file, or one file twice.
    """
    if isinstance(source, Mapping):
        contents = {str(name): _content(name, content) for name, content in source.items()}
        if not contents:
            raise SessionError("the session is empty; give at least one microphone track")
        said = _assign({}, roles or {}, tuple(contents), "the session")
        entries = tuple(_entry(name, content, said) for name, content in contents.items())
        return Gathered("session", None, entries)
    folder = Path(source)
    files, foreign = _list_folder(folder)
    names = tuple(path.name for path in files)
    every_name = names + tuple(path.name for path in foreign)
    said = _assign(read_settings(folder / SETTINGS_NAME), roles or {}, every_name, str(folder))
    notices = tuple(_pass_over(path, said) for path in foreign)
    return Gathered(
        folder.resolve().name, folder, tuple(_entry(p.name, p, said) for p in files), notices
    )


def _content(name: str, content: Path | str | Audio | Sounding) -> Path | Audio:
    """A track of a mapping: a file, or sound in memory."""
    if isinstance(content, Audio):
        return content
    if isinstance(content, str | Path):
        return Path(content)
    if isinstance(content, tuple) and len(content) == 2:
        samples, rate_hz = content
        try:
            found = np.asarray(samples)
            if found.dtype.kind == "f" and found.ndim in (1, 2):
                return Audio(np.atleast_2d(found), _whole_rate(rate_hz))
        except (TypeError, ValueError):
            found = np.empty(0, dtype=object)
        what = f"an array of {found.dtype} and shape {found.shape} at {rate_hz!r} Hz"
    else:
        what = f"of type {type(content).__name__}"
    raise SessionError(
        f"{name!r} is {what}; give a file, an `Audio`, or (samples, rate_hz) with samples of "
        "floats, full scale 1.0, of shape (samples,) or (channels, samples)"
    )


def _whole_rate(rate_hz: object) -> int:
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | np.integer | float):
        raise TypeError
    if rate_hz != int(rate_hz) or rate_hz <= 0:
        raise ValueError
    return int(rate_hz)


def _list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Sound files that can be read, and those of formats that cannot."""
    if not folder.exists():
        raise SessionError(f"{folder} does not exist; give a folder of microphone tracks")
    if not folder.is_dir():
        raise SessionError(f"{folder} is a file; give the folder that the tracks are in")
    try:
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise SessionError(f"{folder} cannot be read: {error.strerror}") from error
    files = [path for path in visible if _is_file_with(path, AUDIO_SUFFIXES)]
    foreign = [path for path in visible if _is_file_with(path, FOREIGN_AUDIO_SUFFIXES)]
    if files:
        return files, foreign
    if foreign:
        raise SessionError(
            f"{folder} holds only files that cannot be read, as {foreign[0].name}; "
            "convert them to WAV or FLAC"
        )
    if not visible:
        raise SessionError(f"{folder} is empty; give a folder of microphone tracks")
    inner = [path.name for path in visible if path.is_dir() and _holds_audio(path)]
    hint = f'; its folder "{inner[0]}" does: give that one' if inner else ""
    raise SessionError(f"{folder} holds no sound files (WAV, FLAC, AIFF, OGG, MP3){hint}")


def _is_file_with(path: Path, suffixes: frozenset[str]) -> bool:
    return path.suffix.lower() in suffixes and not path.is_dir()


def _holds_audio(folder: Path) -> bool:
    try:
        return any(_is_file_with(path, AUDIO_SUFFIXES) for path in folder.iterdir())
    except OSError:
        return False


def _entry(name: str, content: Path | Audio, said: Mapping[str, Guess]) -> Entry:
    guess = said.get(name)
    if isinstance(content, Audio):
        return Entry(name, content, _info_of(name, content), said=guess)
    try:
        return Entry(name, content, probe(content), said=guess)
    except AudioFileError as error:
        return Entry(name, content, None, error, guess)


def _info_of(name: str, audio: Audio) -> AudioInfo:
    if audio.n_samples == 0 or audio.n_channels == 0:
        raise AudioFileError(f"{name} holds no samples; give it some, or take it out")
    if (fault := sample_fault(audio.samples)) is not None:
        at_s = fault.at / audio.rate_hz
        raise AudioFileError(f"{name} holds {fault.what} at {at_s:.3f} s; repair that place")
    return AudioInfo(
        Path(name), audio.rate_hz, audio.n_channels, audio.n_samples, "memory", "FLOAT"
    )


def _pass_over(path: Path, said: Mapping[str, Guess]) -> Notice:
    """The notice about a file of a format that cannot be read, unless it is a microphone."""
    guess = said.get(path.name) or identify(path.name)
    if guess.part is not None and guess.part not in LEFT_OUT_ROLES:
        raise SessionError(
            f"{path} cannot be read ({path.suffix} is not supported); convert it to WAV or FLAC, "
            "or leave it out with ",
            Parameter("roles", {Role.IGNORE.value: path.name}),
        )
    return Notice.of(Code.FILE_OF_OTHER_FORMAT, path.name, format=path.suffix)


def _assign(
    in_settings: Roles, given: Roles, names: tuple[str, ...], where: str
) -> dict[str, Guess]:
    """Name -> role as the user said: `given` wins over the settings file."""
    wanted = _match(given, names, where, "")
    parts = {parse_role(role).part for role in given} - {Role.IGNORE}
    kept = {
        role: files for role, files in in_settings.items() if parse_role(role).part not in parts
    }
    for name, guess in _match(kept, names, where, f"{SETTINGS_NAME}: ").items():
        wanted.setdefault(name, guess)
    return wanted


def _match(roles: Roles, names: tuple[str, ...], where: str, said_in: str) -> dict[str, Guess]:
    said: dict[str, Guess] = {}
    for role, files in roles.items():
        guess = parse_role(role)
        for pattern in [files] if isinstance(files, str) else files:
            matches = _matching_names(pattern, names)
            asked: Part = f'{said_in}{role}="{pattern}"'
            if not said_in:
                asked = Parameter("roles", {role: pattern})
            if not matches:
                close = get_close_matches(pattern, names, n=1)
                hint = f'; did you mean "{close[0]}"?' if close else ""
                raise RoleError(asked, f": no such file in {where}{hint}")
            for name in matches:
                if name in said:
                    has_one = f'"{name}" has a role already ({said[name].why})'
                    raise RoleError(asked, f": {has_one}; give each file one role")
                said[name] = replace(guess, meaning=(name,))
    return said


def _matching_names(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that are `pattern`: exactly, in another case, without suffix, or as a pattern."""
    lower = pattern.lower()
    if pattern in names:
        return (pattern,)
    for form in (str.lower, lambda name: Path(name).stem.lower()):
        if same := tuple(name for name in names if form(name) == lower):
            return same
    return tuple(name for name in names if fnmatch.fnmatchcase(name.lower(), lower))
