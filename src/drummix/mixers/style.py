"""A style: how a mix treats each microphone, as plain data that is written down and read back.

In: what `drummix.match` learned, or a style file. Out: a `Style`. Nothing in a file is trusted:
every key, type, number and length is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from drummix.audio import atomic_path
from drummix.effects.chain import Chain
from drummix.effects.pan import pan_gains
from drummix.effects.reverse.equations import MAX_TAPS
from drummix.errors import DrummixError, OutputError, SettingError, TextFileError
from drummix.levels import db_to_gain
from drummix.plain_data import Limits, Sized, Within, convert, parse_json
from drummix.plain_data.files import Place
from drummix.roles import LEFT_OUT_ROLES, Role

DoubleArray = NDArray[np.float64]

FORMAT = "drummix style 1"
BUS_EFFECTS = ("plate", "compress", "eq", "gain")
"""What a bus may hold: effects that look at the past only, and forget it."""

# The names of sound files stand in it, in whatever encoding they are.
_LIMITS = Limits(n_bytes=32_000_000, any_text=True)
_AGAIN = "learn it again with drummix match"
_MAX_TAP = 1000.0
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class StyleMic:
    """How a style treats one microphone.

    Args:
        role: What the microphone is.
        source: The file it was learned from.
        gain_db: Its fader: gain of both channels together.
        pan: -1 left to 1 right, constant power.
        left: Filter of the left channel (taps,), of unit gain for this microphone's sound.
        right: Filter of the right channel.
        is_learned: Whether the mix told how it treats this microphone; where it did not (never
            struck, or no more than what others hear too), a session's microphone borrows from kin.
        staged_gain_db: Gain that gain staging would have given it; None where it was silent.
        facts: What was measured, for a person to read: tilt, share of the mix, confidence.
        plate_send_db: What the bus's plate hears of it, beside what the sum does (the mean of both
            channels, after fader, pan and filters); None for nothing. All at 0 is a plate that
            hears the sum.
    """

    role: Role
    source: str
    gain_db: float
    pan: float
    left: DoubleArray
    right: DoubleArray
    is_learned: bool
    staged_gain_db: float | None
    facts: Mapping[str, float]
    plate_send_db: float | None = 0.0

    @property
    def plate_send(self) -> float:
        """Linear gain of its send to the plate."""
        return 0.0 if self.plate_send_db is None else float(db_to_gain(self.plate_send_db))

    def filters(self) -> DoubleArray:
        """Fader, pan and filters together (2, taps)."""
        gains = float(db_to_gain(self.gain_db)) * np.array(pan_gains(self.pan))
        return gains[:, np.newaxis] * np.stack([self.left, self.right])


@dataclass(frozen=True, eq=False)
class Style:
    """How a mix treats each microphone and the sum of them.

    Args:
        name: What it was learned from.
        rate_hz: Sample rate of its filters in Hz.
        n_lead: How many taps of each filter look ahead.
        microphones: One entry for each microphone.
        bus: What happens to the stereo sum; may be empty.
        learned: What the learning found, plain data.
        plate_is_mirrored: Whether left and right of the bus's plate are exchanged.
    """

    name: str
    rate_hz: int
    n_lead: int
    microphones: tuple[StyleMic, ...]
    bus: Chain
    learned: Mapping[str, Any]
    plate_is_mirrored: bool = False

    @property
    def has_plate(self) -> bool:
        """Whether the bus begins with a plate."""
        return bool(self.bus.effects) and self.bus.effects[0].name == "plate"

    @property
    def n_taps(self) -> int:
        """Taps of each filter."""
        return int(self.microphones[0].left.size)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON."""
        mics = [_mic_to_plain(mic, has_plate=self.has_plate) for mic in self.microphones]
        plain: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "rate_hz": self.rate_hz,
            "n_lead": self.n_lead,
            "microphones": mics,
            "bus": self.bus.to_plain()["effects"],
        }
        if self.has_plate:
            plain["plate_is_mirrored"] = self.plate_is_mirrored
        return {**plain, "learned": dict(self.learned)}

    @classmethod
    def from_plain(cls, plain: object, *, where: str = "the style") -> Style:
        """Read a style from what `to_plain` wrote.

        Args:
            plain: Parsed JSON.
            where: What the messages call it.

        Raises:
            TextFileError: If anything in it is missing, unknown, of another kind or out of range.
        """
        found = convert(plain, _PlainStyle, error=TextFileError, name=where, hint=_AGAIN)
        try:
            return found.style()
        except DrummixError as error:
            raise Place(where, TextFileError, _AGAIN).refusal(f": {error}") from error

    def save(self, path: Path | str) -> Path:
        """Write the style as JSON, atomically.

        Raises:
            SettingError: If the name does not end in .json.
            OutputError: If the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".json":
            raise SettingError("path", str(target), "end the name of a style in .json")
        text = json.dumps(self.to_plain(), indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_path(target) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        return target


def read_style(path: Path | str) -> Style:
    """Read a style file.

    Raises:
        TextFileError: If it cannot be read, or anything in it is wrong.
    """
    plain = parse_json(Path(path), error=TextFileError, hint=_AGAIN, limits=_LIMITS)
    return Style.from_plain(plain, where=str(path))


def check_style_target(path: Path | str) -> None:
    """Refuse a name that a style cannot be written to, before the work begins.

    Raises:
        SettingError: If it does not end in .json.
        OutputError: If its folder does not exist.
    """
    target = Path(path)
    if target.suffix.lower() != ".json":
        raise SettingError("path", str(target), "end the name of a style in .json")
    if not target.parent.is_dir():
        raise OutputError(f"{target} cannot be written: there is no folder {target.parent}")


def taps_to_text(taps: DoubleArray) -> str:
    """Taps as decimals with a space between, nine digits each: -170 dB beside the largest.

    >>> taps_to_text(np.array([1.0, -0.25]))
    '1 -0.25'
    """
    return " ".join(f"{tap:.{_DIGITS}g}" for tap in taps)


def _mic_to_plain(mic: StyleMic, *, has_plate: bool) -> dict[str, Any]:
    send_db = None if mic.plate_send_db is None else round(mic.plate_send_db, 3)
    return {
        "role": mic.role.value,
        "source": mic.source,
        "gain_db": round(mic.gain_db, 6),
        "pan": round(mic.pan, 8),
        **({"plate_send_db": send_db} if has_plate else {}),
        "learned": mic.is_learned,
        "staged_gain_db": None if mic.staged_gain_db is None else round(mic.staged_gain_db, 3),
        "facts": {name: round(value, 4) for name, value in mic.facts.items()},
        "left": taps_to_text(mic.left),
        "right": taps_to_text(mic.right),
    }


_Text = Annotated[str, Sized(0, 400)]


@dataclass(frozen=True)
class _PlainMic:
    """A microphone as a file holds it."""

    role: Role
    source: _Text
    gain_db: Annotated[float, Within(-200.0, 100.0)]
    pan: Annotated[float, Within(-1.0, 1.0)]
    learned: bool
    staged_gain_db: Annotated[float, Within(-100.0, 100.0)] | None
    facts: Mapping[_Text, Annotated[float, Within(-1e12, 1e12)]]
    left: str
    right: str
    plate_send_db: Annotated[float, Within(-100.0, 60.0)] | None = 0.0

    def __post_init__(self) -> None:
        if self.role in LEFT_OUT_ROLES:
            raise TextFileError(f"role is {self.role}, which is not mixed; name another microphone")

    def mic(self) -> StyleMic:
        return StyleMic(
            role=self.role,
            source=self.source,
            gain_db=self.gain_db,
            pan=self.pan,
            left=_taps(self.left, "left"),
            right=_taps(self.right, "right"),
            is_learned=self.learned,
            staged_gain_db=self.staged_gain_db,
            facts=self.facts,
            plate_send_db=self.plate_send_db,
        )


@dataclass(frozen=True)
class _PlainStyle:
    """A style as a file holds it."""

    format: Literal["drummix style 1"]
    name: _Text
    rate_hz: Annotated[int, Within(1000, 768_000)]
    n_lead: Annotated[int, Within(0, MAX_TAPS - 1)]
    microphones: Annotated[tuple[_PlainMic, ...], Sized(1, 256)]
    bus: Annotated[tuple[Mapping[str, Any], ...], Sized(0, 16)]
    learned: Mapping[str, Any]
    plate_is_mirrored: bool = False

    def style(self) -> Style:
        mics = tuple(mic.mic() for mic in self.microphones)
        sizes = sorted({size for mic in mics for size in (mic.left.size, mic.right.size)})
        if len(sizes) > 1:
            raise TextFileError(f"filters have {sizes[0]} and {sizes[-1]} taps; give all as many")
        if self.n_lead >= sizes[0]:
            raise TextFileError(f"n_lead is {self.n_lead}; expected less than the {sizes[0]} taps")
        bus = _bus(self.bus, self.rate_hz)
        style = Style(
            self.name, self.rate_hz, self.n_lead, mics, bus, self.learned, self.plate_is_mirrored
        )
        has_send = any(mic.plate_send_db != 0.0 for mic in mics)
        if not style.has_plate and (self.plate_is_mirrored or has_send):
            raise TextFileError(
                "plate_send_db or plate_is_mirrored is set, and the bus does not begin with a plate"
            )
        return style


def _bus(plain: Sequence[Mapping[str, Any]], rate_hz: int) -> Chain:
    bus = Chain.from_plain({"name": "bus", "effects": plain})
    bus.apply(np.zeros((2, 4), dtype=np.float32), rate_hz)
    for effect in bus.effects:
        if effect.name not in BUS_EFFECTS:
            raise TextFileError(f"{effect.name} on the bus; use {', '.join(BUS_EFFECTS)}")
        if effect.name == "plate" and effect.settings["excursion_samples"] != 0.0:
            raise TextFileError("the plate on the bus moves; set excursion_samples to 0")
        for key in ("attack_ms", "release_ms"):
            if effect.settings.get(key, 0.0) > 5000.0:
                raise TextFileError(f"{key} of {effect.name} is above 5000 ms; use less")
    return bus


def _taps(text: str, name: str) -> DoubleArray:
    words = text.split(maxsplit=MAX_TAPS)
    if not 1 <= len(words) <= MAX_TAPS:
        raise TextFileError(f"{name} is no text of 1 to {MAX_TAPS} numbers")
    try:
        taps = np.array([float(word) for word in words])
    except ValueError as error:
        raise TextFileError(f"{name}: {str(error)[:100]}") from error
    if not np.all(np.abs(taps) <= _MAX_TAP):  # not a number fails this too
        raise TextFileError(f"{name} holds a tap beyond {_MAX_TAP:g}")
    return taps
