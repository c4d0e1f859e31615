"""A named list of effects that can be written down as plain data and read back.

In: names and settings, or their plain (JSON) form. Out: a `Chain` that processes samples.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike

from drummix.effects.checks import FloatArray, checked_range, checked_samples
from drummix.effects.dynamics import compress, gate, limit, parallel_compress
from drummix.effects.eq import Band, equalise
from drummix.effects.pan import PanLaw, pan
from drummix.effects.plate import plate_send
from drummix.errors import PlainDataError, SettingError
from drummix.levels import db_to_gain
from drummix.plain_data import Sized, convert

NOT_SERIALISABLE = frozenset({"sidechain"})
"""Arguments that are audio: a chain has one input, so it cannot hold them."""

_TRIAL_RATE_HZ = 384_000
"""High enough that every audible frequency fits; the rate in use is checked on applying."""


@dataclass(frozen=True)
class Effect:
    """One effect and all its settings.

    Args:
        name: A key of `EFFECTS`.
        settings: Plain values by keyword of that function; what is left out gets the
            function's default, so that the settings written down are complete.

    Raises:
        SettingError: If the effect or a setting is unknown, a setting is missing, or a value
            is outside its range.

    >>> Effect("gain", {"gain_db": -3.0}).settings
    {'gain_db': -3.0, 'invert': False}
    """

    name: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in EFFECTS:
            why = f"is {self.name!r}, which is unknown"
            raise SettingError("name", self.name, f"use {', '.join(EFFECTS)}", problem=why)
        if not isinstance(self.settings, Mapping):
            why = f"of {self.name} are {self.settings!r}"
            raise SettingError("settings", self.settings, "give an object", problem=why)
        object.__setattr__(self, "settings", _completed(self.name, self.settings))
        # The functions check their own ranges: a few samples of silence ask them to.
        self.apply(np.zeros((1, 4), dtype=np.float32), _TRIAL_RATE_HZ)

    def apply(self, samples: ArrayLike, rate_hz: int) -> FloatArray:
        """Process samples (channels, samples) and return a new array."""
        return EFFECTS[self.name](samples, rate_hz, **self.settings)


@dataclass(frozen=True)
class _PlainChain:
    name: Annotated[str, Sized(0, 400)]
    effects: Annotated[tuple[Mapping[str, Any], ...], Sized(0, 64)]


@dataclass(frozen=True)
class Chain:
    """Effects in order, under a name.

    Args:
        name: What the chain is for, e.g. "snare" or "drum bus".
        effects: Effects, first one first.
    """

    name: str
    effects: tuple[Effect, ...] = ()

    def apply(self, samples: ArrayLike, rate_hz: int) -> FloatArray:
        """Run samples through all effects.

        Args:
            samples: Audio (channels, samples).
            rate_hz: Sample rate in Hz.

        Returns:
            New array; as many samples, and two channels after a pan or a plate.

        Raises:
            SettingError: If a setting does not fit the sample rate or the channels.
        """
        processed = checked_samples(samples).copy()
        for effect in self.effects:
            processed = effect.apply(processed, rate_hz)
        return processed

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON: the name, and each effect with all its settings."""
        return {
            "name": self.name,
            "effects": [{"effect": effect.name, **effect.settings} for effect in self.effects],
        }

    @classmethod
    def from_plain(cls, plain: object) -> Chain:
        """Read a chain from what `to_plain` wrote.

        Args:
            plain: Parsed JSON.

        Returns:
            The chain; defaults are filled in.

        Raises:
            SettingError: If the shape is wrong or for the reasons of `Effect`; the message
                says which effect of the list it is.
        """
        found = convert(plain, _PlainChain, error=PlainDataError, name="the effect chain")
        name = found.name
        effects = []
        for position, entry in enumerate(found.effects, start=1):
            if "effect" not in entry:
                raise SettingError(
                    "effects",
                    entry,
                    f"name one of {', '.join(EFFECTS)}",
                    problem=f'of chain {name!r} have no "effect" at number {position}',
                )
            settings = {key: value for key, value in entry.items() if key != "effect"}
            try:
                effects.append(Effect(entry["effect"], settings))
            except SettingError as error:
                raise error.within(f"effect {position} of chain {name!r}: ") from error
        return cls(name, tuple(effects))


def _completed(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with defaults filled in, in the function's order; unknown ones refused."""
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(EFFECTS[name]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and key not in NOT_SERIALISABLE
    }
    for key in settings:
        if key not in parameters:
            known = f"use {', '.join(parameters)}"
            raise SettingError("settings", key, known, problem=f"of {name} hold {key!r}")
    completed = {}
    for key, parameter in parameters.items():
        value = settings.get(key, parameter.default)
        if value is parameter.empty:
            raise SettingError("settings", key, "give it a value", problem=f"of {name} lack {key}")
        if isinstance(parameter.default, bool) and not isinstance(value, bool):
            why = f"of {name} hold {key} = {value!r}"
            raise SettingError("settings", value, "use true or false", problem=why)
        # Settings are written as JSON and must not change with the caller's objects.
        completed[key] = value.item() if isinstance(value, np.generic) else deepcopy(value)
    return completed


def _gain(samples: ArrayLike, rate_hz: int, *, gain_db: float, invert: bool = False) -> FloatArray:
    """Change the level, and the polarity if `invert`."""
    gain = db_to_gain(checked_range("gain_db", gain_db, -120.0, 60.0))
    return checked_samples(samples) * np.float32(-gain if invert else gain)


def _pan(
    samples: ArrayLike, rate_hz: int, *, position: float, law: PanLaw = "constant_power"
) -> FloatArray:
    return pan(samples, position, law=law)


def _eq(samples: ArrayLike, rate_hz: int, *, bands: Sequence[Mapping[str, Any]]) -> FloatArray:
    """Equalise with bands as plain data: the fields of `Band`."""
    found = convert({"bands": bands}, _Bands, error=PlainDataError, name="eq")
    return equalise(samples, rate_hz, found.bands)


@dataclass(frozen=True)
class _Bands:
    bands: Annotated[tuple[Band, ...], Sized(0, 64)]


EFFECTS: Mapping[str, Callable[..., FloatArray]] = {
    "gain": _gain,
    "pan": _pan,
    "eq": _eq,
    "gate": gate,
    "compress": compress,
    "parallel_compress": parallel_compress,
    "limit": limit,
    "plate": plate_send,
}
"""Effects by the name they have in plain data; their keywords are the settings."""
