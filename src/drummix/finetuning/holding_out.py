"""What is learned from, and what is held out to tell whether it helps: never a common sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drummix.errors import Parameter, SessionError, SettingError
from drummix.finetuning.material import Prepared
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.session_clips import Stretch

DEFAULT_SHARE = 0.2
MIN_TRAIN_S = 10.0
MIN_HELD_OUT_S = 3.0


@dataclass(frozen=True)
class Split:
    """Stretches of sessions on both sides.

    Args:
        train: What is learned from.
        held_out: What decides.
    """

    train: tuple[Stretch, ...]
    held_out: tuple[Stretch, ...]

    def to_mapping(self) -> dict[str, dict[str, float]]:
        """Seconds of each session on each side, plain data."""
        return {
            side: {stretch.item: round(stretch.duration_s, 2) for stretch in stretches}
            for side, stretches in (("train", self.train), ("held_out", self.held_out))
        }


def split(
    sessions: Sequence[Prepared], config: WaveUNetConfig, hold_out: float | str | None = None
) -> Split:
    """Set material aside.

    Args:
        sessions: What there is.
        config: Geometry of the network; twice its context lies between both sides of a song, so
            that no sample, not even as context, is on both.
        hold_out: Name of the session that is held out, or the share of each session, from its
            end. If not given, the last of several sessions, or a fifth of one.

    Raises:
        SettingError: If there is no such session, or the share is not between 0 and 1.
        SessionError: If too little is left on either side.
    """
    names = [session.name for session in sessions]
    if hold_out is None:
        hold_out = names[-1] if len(names) > 1 else DEFAULT_SHARE
    if isinstance(hold_out, str):
        if hold_out not in names:
            raise SettingError("hold_out", hold_out, f"give {_any_of(names)}")
        if len(names) == 1:
            why = f"is {hold_out!r}, the only session"
            raise SettingError("hold_out", hold_out, "give a share of it, as 0.2", problem=why)
        is_held = [name == hold_out for name in names]
        found = Split(
            tuple(_whole(s) for s, held in zip(sessions, is_held, strict=True) if not held),
            tuple(_whole(s) for s, held in zip(sessions, is_held, strict=True) if held),
        )
    else:
        if not 0.0 < hold_out < 1.0:
            raise SettingError("hold_out", hold_out, "give a share between 0 and 1, as 0.2")
        pairs = [_cut(session, hold_out, 2 * config.context_frames) for session in sessions]
        found = Split(*(tuple(side) for side in zip(*pairs, strict=True)))
    _check_lengths(found)
    return found


def _any_of(names: Sequence[str]) -> str:
    return f"{', '.join(names)}, or a share of each session, as 0.2"


def _whole(session: Prepared) -> Stretch:
    return _stretch(session, session.start, session.stop)


def _cut(session: Prepared, share: float, gap: int) -> tuple[Stretch, Stretch]:
    border = session.stop - round(share * (session.stop - session.start))
    return (
        _stretch(session, session.start, max(session.start, border - gap)),
        _stretch(session, border, session.stop),
    )


def _stretch(session: Prepared, start: int, stop: int) -> Stretch:
    n_inputs = session.n_inputs
    return Stretch(session.name, session.path, n_inputs, session.rate_hz, start, stop)


def _check_lengths(found: Split) -> None:
    for stretches, least_s, what in (
        (found.train, MIN_TRAIN_S, "to learn from"),
        (found.held_out, MIN_HELD_OUT_S, "held out to check it with"),
    ):
        # Every stretch has to hold a clip or two; together they have to be worth it.
        shortest = min(stretches, key=lambda stretch: stretch.duration_s)
        if shortest.duration_s < least_s:
            raise SessionError(
                f"{shortest.item} leaves {shortest.duration_s:.1f} s {what}; expected at least "
                f"{least_s:g} s: give more of it, another ",
                Parameter("hold_out"),
                ", or another song",
            )
