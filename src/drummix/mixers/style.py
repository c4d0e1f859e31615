"""A style: how a mix treats each microphone, as plain data that is written down and read back.

In: what `drummix.match` learned, or a style file. Out: a `Style`. Nothing in a file is trusted:
every key, type, number and length is checked before it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.audio import atomic_path
from drummix.effects.chain import Chain
from drummix.effects.pan import pan_gains
from drummix.effects.reverse.equations import MAX_TAPS
from drummix.errors import OutputError, SettingError
from drummix.levels import db_to_gain
from drummix.roles import LEFT_OUT_ROLES, Role

DoubleArray = NDArray[np.float64]

FORMAT = "drummix style 1"
BUS_EFFECTS = ("plate", "compress", "eq", "gain")
"""What a bus may hold: effects that look at the past only, and forget it."""

_MAX_FILE_BYTES = 32_000_000
_MAX_MICROPHONES = 256
_MAX_TAP = 1000.0
_MAX_TEXT = 400
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
            SettingError: If anything in it is missing, unknown, of another kind or out of range.
        """
        return _Reader(where).style(plain)

    def save(self, path: Path | str) -> Path:
        """Write the style as JSON, atomically.

        Raises:
            SettingError: If the name does not end in .json.
            OutputError: If the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".json":
            raise SettingError(f"{target} is no name for a style; end it in .json")
        text = json.dumps(self.to_plain(), indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_path(target) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        return target


def read_style(path: Path | str) -> Style:
    """Read a style file.

    Raises:
        SettingError: If it cannot be read, or anything in it is wrong.
    """
    try:
        size_bytes = Path(path).stat().st_size
        if size_bytes > _MAX_FILE_BYTES:
            raise SettingError(
                f"{path} is {size_bytes} bytes; a style has at most {_MAX_FILE_BYTES}"
            )
        text = Path(path).read_text(encoding="utf-8")
        plain = json.loads(text, parse_constant=_refuse_constant)
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0][:100]
        raise SettingError(
            f"{path} is no style: not JSON ({reason}); make one with drummix match"
        ) from error
    return Style.from_plain(plain, where=str(path))


def check_style_target(path: Path | str) -> None:
    """Refuse a name that a style cannot be written to, before the work begins.

    Raises:
        SettingError: If it does not end in .json.
        OutputError: If its folder does not exist.
    """
    target = Path(path)
    if target.suffix.lower() != ".json":
        raise SettingError(f"{target} is no name for a style; end it in .json")
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


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


class _Reader:
    """Checks plain data from outside, and says where in it something is wrong."""

    def __init__(self, where: str) -> None:
        self._where = where

    def style(self, plain: object) -> Style:
        keys = ("format", "name", "rate_hz", "n_lead", "microphones", "bus", "learned")
        if isinstance(plain, Mapping) and plain.get("format") not in (None, FORMAT):
            raise self._wrong(f"format is {_shown(plain['format'])}; expected {FORMAT!r}")
        entry = self._object(plain, keys, "it", optional=("plate_is_mirrored",))
        rate_hz = self._whole(entry["rate_hz"], 1000, 768_000, "rate_hz")
        n_lead = self._whole(entry["n_lead"], 0, MAX_TAPS - 1, "n_lead")
        microphones = entry["microphones"]
        if not isinstance(microphones, list) or not 1 <= len(microphones) <= _MAX_MICROPHONES:
            raise self._wrong(f"microphones is no list of 1 to {_MAX_MICROPHONES}")
        mics = tuple(self._mic(mic, number) for number, mic in enumerate(microphones, start=1))
        sizes = sorted({size for mic in mics for size in (mic.left.size, mic.right.size)})
        if len(sizes) > 1:
            raise self._wrong(f"filters have {sizes[0]} and {sizes[-1]} taps; give all as many")
        if n_lead >= sizes[0]:
            raise self._wrong(f"n_lead is {n_lead}; expected less than the {sizes[0]} taps")
        learned = entry["learned"]
        if not isinstance(learned, Mapping):
            raise self._wrong("learned is no object")
        name = self._text(entry["name"], "name")
        is_mirrored = self._truth(entry.get("plate_is_mirrored", False), "plate_is_mirrored")
        bus = self._bus(entry["bus"], rate_hz)
        style = Style(name, rate_hz, n_lead, mics, bus, learned, is_mirrored)
        if not style.has_plate and (is_mirrored or any(mic.plate_send_db != 0.0 for mic in mics)):
            raise self._wrong(
                "plate_send_db or plate_is_mirrored is set, and the bus does not begin with a plate"
            )
        return style

    def _mic(self, plain: object, number: int) -> StyleMic:
        what = f"microphone {number}"
        keys = ("role", "source", "gain_db", "pan", "learned", "staged_gain_db", "facts")
        entry = self._object(plain, (*keys, "left", "right"), what, optional=("plate_send_db",))
        role = entry["role"]
        mixed = [known.value for known in Role if known not in LEFT_OUT_ROLES]
        if role not in mixed:
            raise self._wrong(f"{what}: role is {_shown(role)}; use one of {', '.join(mixed)}")
        facts = entry["facts"]
        if not isinstance(facts, Mapping):
            raise self._wrong(f"{what}: facts is no object")
        staged, send = entry["staged_gain_db"], entry.get("plate_send_db", 0.0)
        return StyleMic(
            role=Role(role),
            source=self._text(entry["source"], f"{what}: source"),
            gain_db=self._number(entry["gain_db"], -200.0, 100.0, f"{what}: gain_db"),
            pan=self._number(entry["pan"], -1.0, 1.0, f"{what}: pan"),
            left=self._taps(entry["left"], f"{what}: left"),
            right=self._taps(entry["right"], f"{what}: right"),
            is_learned=self._truth(entry["learned"], f"{what}: learned"),
            staged_gain_db=None
            if staged is None
            else self._number(staged, -100.0, 100.0, f"{what}: staged_gain_db"),
            facts={
                self._text(name, f"{what}: facts"): self._number(
                    value, -1e12, 1e12, f"{what}: {_shown(name)}"
                )
                for name, value in facts.items()
            },
            plate_send_db=None
            if send is None
            else self._number(send, -100.0, 60.0, f"{what}: plate_send_db"),
        )

    def _bus(self, plain: object, rate_hz: int) -> Chain:
        if not isinstance(plain, list) or len(plain) > 16:
            raise self._wrong("bus is no list of at most 16 effects")
        try:
            bus = Chain.from_plain({"name": "bus", "effects": plain})
            bus.apply(np.zeros((2, 4), dtype=np.float32), rate_hz)
        except SettingError as error:
            raise self._wrong(str(error)) from error
        for effect in bus.effects:
            if effect.name not in BUS_EFFECTS:
                raise self._wrong(f"{effect.name} on the bus; use {', '.join(BUS_EFFECTS)}")
            if effect.name == "plate" and effect.settings["excursion_samples"] != 0.0:
                raise self._wrong("the plate on the bus moves; set excursion_samples to 0")
            for key in ("attack_ms", "release_ms"):
                if effect.settings.get(key, 0.0) > 5000.0:
                    raise self._wrong(f"{key} of {effect.name} is above 5000 ms; use less")
        return bus

    def _taps(self, plain: object, what: str) -> DoubleArray:
        words = plain.split() if isinstance(plain, str) else []
        if not 1 <= len(words) <= MAX_TAPS:
            raise self._wrong(f"{what} is no text of 1 to {MAX_TAPS} numbers")
        try:
            taps = np.array([float(word) for word in words])
        except ValueError as error:
            raise self._wrong(f"{what}: {error}") from error
        if not np.all(np.abs(taps) <= _MAX_TAP):  # not a number fails this too
            raise self._wrong(f"{what} holds a tap beyond {_MAX_TAP:g}")
        return taps

    def _object(
        self, plain: object, keys: tuple[str, ...], what: str, *, optional: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        if not isinstance(plain, Mapping):
            raise self._wrong(f"{what} is no object")
        for key in keys:
            if key not in plain:
                raise self._wrong(f'{what} has no "{key}"')
        for key in plain:
            if key not in (*keys, *optional):
                raise self._wrong(f"{what} has an unknown key {_shown(key)}")
        return plain

    def _number(self, plain: object, low: float, high: float, what: str) -> float:
        is_number = isinstance(plain, int | float) and not isinstance(plain, bool)
        # A whole number of JSON may be too large to be a float: compare before converting.
        if not is_number or not low <= plain <= high:  # type: ignore[operator]
            raise self._wrong(f"{what} is {_shown(plain)}; use a number from {low:g} to {high:g}")
        return float(plain)  # type: ignore[arg-type]

    def _truth(self, plain: object, what: str) -> bool:
        if not isinstance(plain, bool):
            raise self._wrong(f"{what} is {_shown(plain)}; use true or false")
        return plain

    def _whole(self, plain: object, low: int, high: int, what: str) -> int:
        value = self._number(plain, low, high, what)
        if value != math.floor(value):
            raise self._wrong(f"{what} is {value:g}; use a whole number")
        return int(value)

    def _text(self, plain: object, what: str) -> str:
        if not isinstance(plain, str) or len(plain) > _MAX_TEXT:
            raise self._wrong(f"{what} is no text of at most {_MAX_TEXT} characters")
        return plain

    def _wrong(self, what: str) -> SettingError:
        return SettingError(
            f"{self._where} is damaged or no style: {what}; learn it again with drummix match"
        )


def _shown(plain: object) -> str:
    shown = repr(plain)
    return shown if len(shown) <= 60 else shown[:57] + "..."
