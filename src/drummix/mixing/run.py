"""Running a mixer over a session: into memory, or in blocks into a file."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drummix.audio import Audio, Writer, atomic_path, write
from drummix.errors import OutputError, SessionError, SettingError
from drummix.inspection import SessionChecks
from drummix.levels import LoudnessMeter, db_to_gain
from drummix.mixers.base import BLOCK_SAMPLES, FloatArray, Mixer, MixPlan, Progress
from drummix.mixers.compute import Compute
from drummix.mixers.registry import DEFAULT_SYSTEM
from drummix.mixing.level import LevelDecision, OutputLevel
from drummix.mixing.options import MixOptions
from drummix.mixing.scratch import Scratch
from drummix.notices import Notice
from drummix.notices.wording import to_plain
from drummix.session import Session, Stem, check_target, open_session
from drummix.session.gathering import Roles, Source

if TYPE_CHECKING:
    from drummix.mixers.style import Style


@dataclass(frozen=True, eq=False)
class Mix:
    """A finished mix in memory.

    Args:
        audio: The stereo mix at the session's rate.
        settings: Everything that was done, plain data that JSON can hold.
        notices: What a person should know.
    """

    audio: Audio
    settings: Mapping[str, Any]
    notices: tuple[Notice, ...]

    def save(self, path: Path | str, *, subtype: str = "PCM_24") -> Path:
        """Write the mix, atomically; the suffix chooses the container.

        Args:
            path: The file to write.
            subtype: Coding, as `drummix.audio.Writer` takes it.

        Raises:
            OutputError: If the file cannot be written.
            SettingError: If the container or the coding is unknown.
        """
        write(path, self.audio, subtype=subtype)
        return Path(path)


@dataclass(frozen=True, eq=False)
class MixedFile:
    """A mix that was written to a file.

    Args:
        path: The file.
        settings: Everything that was done, plain data that JSON can hold.
        notices: What a person should know.
    """

    path: Path
    settings: Mapping[str, Any]
    notices: tuple[Notice, ...]


def mix(
    source: Source,
    *,
    system: str = DEFAULT_SYSTEM,
    roles: Roles | None = None,
    lufs: float | None = None,
    true_peak_dbtp: float | None = None,
    as_recorded: bool = False,
    paper_segments: bool = False,
    weights: Path | str | None = None,
    style: Style | Path | str | None = None,
    match_levels: bool = False,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Mix:
    """Mix a drum session in memory.

    Args:
        source: A folder of microphone tracks, or role or name -> path, `Audio`, or
            ``(samples, rate_hz)``.
        system: Name of the system, see `drummix.systems`.
        roles: Role -> file name, for files whose name does not tell.
        lufs: Integrated loudness in LUFS; None keeps the system's own level.
        true_peak_dbtp: Ceiling in dBTP that the mix never exceeds; None for -1.
        as_recorded: Leave the stems' levels alone before the network.
        paper_segments: Cut the session as the paper does, instead of seamlessly.
        weights: Folder of a model to use in place of the shipped one.
        style: A style of `drummix.match`, or its file, to mix with in place of a system.
        match_levels: Bring the stems to the levels of the style's example; without this and
            `as_recorded`, that is done where the levels are those of another session.
        compute: Threads and memory of a network; None for the default.
        progress: Called with what is being done, samples done, and samples in all.

    Returns:
        The mix at the session's rate, as long as its longest stem.

    Raises:
        DrummixError: If the session, a setting or the weights are wrong; one line says how.
    """
    level = OutputLevel(lufs, true_peak_dbtp)
    session = open_session(source, roles=roles)
    options = MixOptions(system, as_recorded, paper_segments, weights, style, match_levels, compute)
    mixer, of_mixer = options.make_mixer()
    checks = SessionChecks(session)
    plan = mixer.plan(session.watched_by(checks), progress=progress)
    meter = LoudnessMeter(session.rate_hz, 2)
    samples = _room_for(session)
    n_done = 0
    for block in _metered(plan, session, meter, progress):
        samples[:, n_done : n_done + block.shape[1]] = block
        n_done += block.shape[1]
    decision = level.decide(meter)
    samples *= np.float32(db_to_gain(decision.gain_db))
    notices = _all_notices(session, (*checks.notices(), *of_mixer), plan, decision)
    return Mix(
        audio=Audio(samples, session.rate_hz),
        settings=_settings(mixer.name, session, plan, decision, notices),
        notices=notices,
    )


def mix_to_file(
    source: Source,
    target: Path | str,
    *,
    system: str = DEFAULT_SYSTEM,
    roles: Roles | None = None,
    lufs: float | None = None,
    true_peak_dbtp: float | None = None,
    as_recorded: bool = False,
    paper_segments: bool = False,
    weights: Path | str | None = None,
    style: Style | Path | str | None = None,
    match_levels: bool = False,
    compute: Compute | None = None,
    settings_path: Path | str | None = None,
    progress: Progress | None = None,
) -> MixedFile:
    """Mix a drum session into a file, in memory that does not grow with its length.

    Until its level is known the mix lies, as float32, in a file without a name beside the target;
    then it is written, 24-bit, and appears complete or not at all.

    Args:
        source: As for `mix`.
        target: The file to write; its suffix chooses the container. Not among the session's files.
        system: As for `mix`.
        roles: As for `mix`.
        lufs: As for `mix`.
        true_peak_dbtp: As for `mix`.
        as_recorded: As for `mix`.
        paper_segments: As for `mix`.
        weights: As for `mix`.
        style: As for `mix`.
        match_levels: As for `mix`.
        compute: As for `mix`.
        settings_path: A ``.json`` file for the settings; None writes none.
        progress: As for `mix`.

    Raises:
        DrummixError: If the session, a setting, the weights or the target are wrong.
    """
    level = OutputLevel(lufs, true_peak_dbtp)
    options = MixOptions(system, as_recorded, paper_segments, weights, style, match_levels, compute)
    return write_mix(
        source,
        target,
        options.make_mixer(),
        roles=roles,
        level=level,
        settings_path=settings_path,
        progress=progress,
    )


def write_mix(
    source: Source,
    target: Path | str,
    ready: tuple[Mixer, tuple[Notice, ...]],
    *,
    roles: Roles | None = None,
    level: OutputLevel,
    settings_path: Path | str | None = None,
    progress: Progress | None = None,
) -> MixedFile:
    """Mix a session into a file with a mixer that is ready, and may be used for others.

    Args:
        source: As for `mix_to_file`.
        target: As for `mix_to_file`.
        ready: What `MixOptions.make_mixer` gives: a mixer, and notices about it.
        roles: As for `mix_to_file`.
        level: The level of the mix.
        settings_path: As for `mix_to_file`.
        progress: As for `mix_to_file`.

    Raises:
        DrummixError: If the session or the target are wrong.
    """
    mixer, of_mixer = ready
    target = Path(target)
    settings_path = None if settings_path is None else Path(settings_path)
    session = open_session(source, roles=roles)
    _check_outputs(session, target, settings_path)
    meter = LoudnessMeter(session.rate_hz, 2)
    with ExitStack() as stack:
        # Everything that could refuse to be written is opened before the work begins.
        settings_file = stack.enter_context(atomic_path(settings_path)) if settings_path else None
        writer = stack.enter_context(Writer(target, rate_hz=session.rate_hz, n_channels=2))
        scratch = stack.enter_context(Scratch(target))
        checks = SessionChecks(session)
        plan = mixer.plan(session.watched_by(checks), progress=progress)
        for block in _metered(plan, session, meter, progress):
            scratch.append(block)
        decision = level.decide(meter)
        _copy(scratch, writer, db_to_gain(decision.gain_db), session.n_samples, progress)
        notices = _all_notices(session, (*checks.notices(), *of_mixer), plan, decision)
        settings = _settings(mixer.name, session, plan, decision, notices)
        if settings_file is not None:
            text = json.dumps(settings, indent=2, ensure_ascii=False, allow_nan=False)
            # A file name with bytes that are no text becomes an escape that JSON knows.
            settings_file.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return MixedFile(target, settings, notices)


def _check_outputs(session: Session, target: Path, settings_path: Path | None) -> None:
    check_target(session, target)
    for path in (target, settings_path):
        if path is not None and path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            raise OutputError(
                f"{path} cannot be written: {path.parent} is read-only; choose another folder"
            )
    for stem in (*session.stems, *session.left_out):
        if target.exists() and stem.info.path.exists() and target.samefile(stem.info.path):
            raise OutputError(f"{target} is a track of the session; choose another name")
    # A settings file under any name could replace a track, or the session's own session.toml.
    if settings_path is not None and settings_path.suffix.lower() != ".json":
        raise SettingError("settings_path", settings_path, "end it in .json")


def _metered(
    plan: MixPlan, session: Session, meter: LoudnessMeter, progress: Progress | None
) -> Iterator[FloatArray]:
    n_done = 0
    for block in plan.blocks():
        meter.add(block)
        yield block
        n_done += block.shape[1]
        if progress is not None:
            progress("mixing", n_done, session.n_samples)


def _room_for(session: Session) -> FloatArray:
    try:
        return np.zeros((2, session.n_samples), dtype=np.float32)
    except (MemoryError, ValueError) as error:
        raise SessionError(
            f"{session.name} is {session.duration_s:.0f} s long, and its mix does not fit into "
            "memory; write it to a file (drummix.mix_to_file)"
        ) from error


def _copy(
    scratch: Scratch, writer: Writer, gain: float, n_samples: int, progress: Progress | None
) -> None:
    n_done = 0
    for block in scratch.blocks(BLOCK_SAMPLES):
        writer.write(block * np.float32(gain))
        n_done += block.shape[1]
        if progress is not None:
            progress("writing", n_done, n_samples)


def _all_notices(
    session: Session, notices: tuple[Notice, ...], plan: MixPlan, decision: LevelDecision
) -> tuple[Notice, ...]:
    of_level = () if decision.notice is None else (decision.notice,)
    return (*session.notices, *notices, *plan.notices, *of_level)


def _settings(
    system: str,
    session: Session,
    plan: MixPlan,
    decision: LevelDecision,
    notices: tuple[Notice, ...],
) -> dict[str, Any]:
    return {
        "drummix": importlib.metadata.version("drummix"),
        "system": system,
        "session": {
            "name": session.name,
            "rate_hz": session.rate_hz,
            "n_samples": session.n_samples,
            "stems": [_stem_settings(stem) for stem in session.stems],
            "left_out": [_stem_settings(stem) for stem in session.left_out],
        },
        "mixer": dict(plan.settings),
        "level": decision.to_mapping(),
        "notices": to_plain(notices),
    }


def _stem_settings(stem: Stem) -> dict[str, Any]:
    return {
        "source": stem.source,
        "channel": stem.channel,
        "role": stem.role.value,
        "why": stem.why,
        "rate_hz": stem.info.rate_hz,
        "coding": f"{stem.info.format} {stem.info.subtype}",
    }
