"""From what was found to a session: roles, one rate, one length, and what to tell about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from drummix.audio import Audio, AudioInfo, BlockReader, resampled_length
from drummix.errors import (
    NoMicrophoneError,
    OutputError,
    Parameter,
    RoleError,
    SessionError,
    joined,
)
from drummix.levels import MIN_RATE_HZ
from drummix.notices import Code, Notice
from drummix.roles import LEFT_OUT_ROLES, Candidate, Part, Role, cast
from drummix.session.gathering import Entry, Roles, Source, gather
from drummix.session.stems import Session, Stem

_COMPARE_SAMPLES = 1 << 18


def open_session(source: Source, *, roles: Roles | None = None) -> Session:
    """Open a folder of microphone tracks, or a mapping of them.

    Args:
        source: A folder, or role or name -> path, `Audio`, or
            ``(samples, rate_hz)``. A ``session.toml`` in the folder
            may give roles and files to ignore.
        roles: Role -> file name, list of names or pattern, for files whose name does not tell;
            ``ignore`` leaves files out. Wins over ``session.toml``, which wins over the names.

    Returns:
        The session; its notices say what was resampled, padded, assumed or left out.

    Raises:
        SessionError: If there is nothing to mix, or its rate is below 8 kHz; NoMicrophoneError if
            there are other files only.
        RoleError: If a name is unknown, or two files claim one role.
        AudioFileError: If a file cannot be read.
    """
    gathered = gather(source, roles=roles)
    readable = [entry for entry in gathered.entries if not _is_ignored(entry)]
    ignored = [entry for entry in gathered.entries if _is_ignored(entry)]
    for entry in readable:
        if entry.error is not None:
            raise entry.error
    infos = {entry.name: entry.info for entry in readable if entry.info is not None}
    casting = cast([Candidate(e.name, infos[e.name].n_channels, e.said) for e in readable])
    stems = tuple(_stem(part, infos) for part in casting.parts if part.role not in LEFT_OUT_ROLES)
    left_out = tuple(_stem(part, infos) for part in casting.parts if part.role in LEFT_OUT_ROLES)
    _check_channels(stems)
    if casting.questions:
        raise RoleError(*joined(casting.questions))
    if not stems:
        what = "; ".join(f'"{stem.source}" is {stem.why}' for stem in left_out) or "all are ignored"
        raise NoMicrophoneError(f"{gathered.name} holds no microphone of a drum kit: {what}")
    contents = {entry.name: entry.content for entry in readable}
    rate_hz = common_rate_hz({stem.source: stem.info for stem in stems}.values())
    _check_rate(gathered.name, rate_hz, stems)
    lengths = {
        stem.source: resampled_length(stem.info.n_samples, stem.info.rate_hz, rate_hz)
        for stem in stems
    }
    notices = (
        *gathered.notices,
        *casting.notices,
        *(Notice.of(Code.FILE_LEFT_OUT, stem.source, why=stem.why) for stem in left_out),
        *(Notice.of(Code.FILE_IGNORED, entry.name) for entry in ignored),
        *_resampling_notices(stems, rate_hz),
        *_padding_notices(stems, lengths, rate_hz),
        *_summing_notices(stems, contents),
    )
    return Session(
        name=gathered.name,
        folder=gathered.folder,
        rate_hz=rate_hz,
        n_samples=max(lengths.values()),
        stems=stems,
        left_out=left_out,
        notices=notices,
        _contents=contents,
    )


def check_target(session: Session, target: Path | str) -> None:
    """Refuse to write a mix among the session's own files, where the next one would find it.

    Raises:
        OutputError: If `target` is directly in the session's folder.
    """
    if session.folder is None:
        return
    folder = Path(target).resolve().parent
    if folder == session.folder.resolve():
        raise OutputError(
            f"{target} is inside the session's folder {session.folder}, among its tracks; "
            "choose another folder"
        )


def _is_ignored(entry: Entry) -> bool:
    return entry.said is not None and entry.said.part is Role.IGNORE


def _stem(part: Part, infos: dict[str, AudioInfo]) -> Stem:
    return Stem(part.role, part.name, part.channel, part.why, infos[part.name])


def _check_channels(stems: Sequence[Stem]) -> None:
    for stem in stems:
        if stem.info.n_channels > 2:
            raise SessionError(
                f"{stem.info.path} has {stem.info.n_channels} channels; expected 1 or 2: split it "
                "into mono files, or leave it out with ",
                Parameter("roles", {Role.IGNORE.value: stem.source}),
            )


def _check_rate(name: str, rate_hz: int, stems: Sequence[Stem]) -> None:
    if rate_hz < MIN_RATE_HZ:
        slow = next(stem for stem in stems if stem.info.rate_hz == rate_hz)
        raise SessionError(
            f'{name} has a rate of {rate_hz} Hz, as "{slow.source}" has; a mix needs at least '
            f"{MIN_RATE_HZ} Hz, where loudness can be measured: export the tracks at the rate that "
            "they were recorded at"
        )


def common_rate_hz(infos: Iterable[AudioInfo]) -> int:
    """The rate of most files, the higher of two that are as frequent."""
    counts = Counter(info.rate_hz for info in infos)
    return max(counts, key=lambda rate_hz: (counts[rate_hz], rate_hz))


def _by_source(stems: Sequence[Stem]) -> dict[str, Stem]:
    return {stem.source: stem for stem in stems}


def _resampling_notices(stems: Sequence[Stem], rate_hz: int) -> Iterator[Notice]:
    for source, stem in _by_source(stems).items():
        if stem.info.rate_hz != rate_hz:
            rates = {"from_hz": stem.info.rate_hz, "to_hz": rate_hz}
            yield Notice(Code.FILE_RESAMPLED, source, rates)


def _padding_notices(
    stems: Sequence[Stem], lengths: dict[str, int], rate_hz: int
) -> Iterator[Notice]:
    longest = max(lengths.values())
    for source, stem in _by_source(stems).items():
        # Resampling rounds a length by up to one sample: nothing that a person should hear about.
        if longest - lengths[source] > (stem.info.rate_hz != rate_hz):
            seconds = {"from_s": lengths[source] / rate_hz, "to_s": longest / rate_hz}
            yield Notice(Code.FILE_PADDED, source, seconds)


def _summing_notices(stems: Sequence[Stem], contents: dict[str, Path | Audio]) -> Iterator[Notice]:
    for stem in stems:
        if (
            stem.channel is None
            and stem.info.n_channels == 2
            and not _channels_are_equal(contents[stem.source])
        ):
            yield Notice.of(Code.FILE_SUMMED_TO_MONO, stem.source, role=stem.role.value)


def _channels_are_equal(content: Path | Audio) -> bool:
    if isinstance(content, Audio):
        return bool(np.array_equal(content.samples[0], content.samples[1]))
    with BlockReader(content) as reader:
        return all(np.array_equal(block[0], block[1]) for block in reader.blocks(_COMPARE_SAMPLES))
