"""What recordings do to a session and its engineer does not hear: disturbances of the stems.

A network must mix well whatever the preamps, cables and names of the files were, so its inputs are
disturbed while the target stays as it is. Every kind has a switch and draws of its own: the same
seed gives the same gains whether or not delays are drawn too.

In: stems (microphones, N) float32, full scale 1.0, and their rate. Out: a new array of that shape.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.corpus.kit import FloatArray
from drummix.errors import PlainDataError, SettingError
from drummix.levels import db_to_gain
from drummix.plain_data import AnyFloat, Within, check_fields, convert
from drummix.roles import PAPER_ROLES, Role

DISTURBANCES = ("gain", "dropout", "polarity", "delay", "tilt", "noise", "overheads")
"""Kinds that a finished stem can suffer."""

RENDERED_DISTURBANCES = ("tuning",)
"""Kinds that need the kit: only the renderer can make them."""

MAX_GAIN_DB = 12.0
"""Every microphone's gain is uniform between minus and plus this."""

MAX_DELAY_MS = 1.0
"""Every microphone's delay is uniform between 0 and this; 1 ms is 34 cm of air."""

MAX_TILT_DB = 3.0
"""Every microphone's tilt is uniform between minus and plus this."""

NOISE_DBFS = (-90.0, -60.0)
"""Every microphone's noise floor is uniform in dB between these, as RMS."""

DROPOUT_PROBABILITY = 0.05
"""Of each microphone to be missing; one always stays."""

POLARITY_PROBABILITY = 0.1
"""Of each microphone to be inverted."""

SWAP_PROBABILITY = 0.1
"""Of the overheads to be named the wrong way round."""

TILT_PIVOT_HZ = 1000.0
"""Frequency that a tilt leaves alone."""

_OVERHEADS = (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT)


@dataclass(frozen=True)
class Disturbance:
    """What happens to each microphone of a session, in the order of its stems.

    The fields are applied in the order in which they stand here, but for `dropped`, which silences
    a stem, its noise included.

    Args:
        gains_db: Gain in dB.
        dropped: Whether the microphone is missing: its stem is silence.
        inverted: Whether its polarity is inverted.
        delays_ms: Delay in ms, 0.0 or more; fractions of a sample are kept.
        tilts_db: Gain in dB far above 1 kHz, and minus the gain far below.
        noise_dbfs: RMS level of white noise in dBFS; minus infinity for none.
        is_overheads_swapped: Whether left and right overhead bear each other's name.

    Raises:
        SettingError: If the fields are for different numbers of microphones, or one is no number.
    """

    gains_db: tuple[Annotated[float, Within(-200.0, 200.0)], ...]
    dropped: tuple[bool, ...]
    inverted: tuple[bool, ...]
    delays_ms: tuple[Annotated[float, Within(0.0, 10_000.0)], ...]
    tilts_db: tuple[Annotated[float, Within(-100.0, 100.0)], ...]
    noise_dbfs: tuple[Annotated[AnyFloat, Within(-math.inf, 100.0)], ...]
    is_overheads_swapped: bool

    def __post_init__(self) -> None:
        check_fields(self)
        lengths = {name: len(values) for name, values in self._per_microphone().items()}
        if len(set(lengths.values())) != 1:
            listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
            why = f"and the others are for different numbers of microphones: {listed}"
            raise SettingError("gains_db", self.gains_db, "give one each", problem=why)

    @property
    def n_microphones(self) -> int:
        """Number of microphones that it is for."""
        return len(self.gains_db)

    @classmethod
    def none(cls, n_microphones: int = len(PAPER_ROLES)) -> Disturbance:
        """A disturbance that changes nothing."""
        return cls(
            gains_db=(0.0,) * n_microphones,
            dropped=(False,) * n_microphones,
            inverted=(False,) * n_microphones,
            delays_ms=(0.0,) * n_microphones,
            tilts_db=(0.0,) * n_microphones,
            noise_dbfs=(-math.inf,) * n_microphones,
            is_overheads_swapped=False,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for a record; null where there is no noise."""
        plain: dict[str, Any] = {name: list(v) for name, v in self._per_microphone().items()}
        plain["noise_dbfs"] = [None if level == -math.inf else level for level in self.noise_dbfs]
        return {**plain, "is_overheads_swapped": self.is_overheads_swapped}

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> Disturbance:
        """Read what `to_mapping` wrote.

        Raises:
            SettingError: If a field is missing, unknown or not of its kind.
        """
        levels = plain.get("noise_dbfs")
        if isinstance(levels, list | tuple):
            levels = [-math.inf if level is None else level for level in levels]
            plain = {**plain, "noise_dbfs": levels}
        return convert(plain, cls, error=PlainDataError, name="a disturbance")

    def _per_microphone(self) -> dict[str, tuple[Any, ...]]:
        return {name: value for name, value in asdict(self).items() if isinstance(value, tuple)}


def draw_disturbance(
    rng: np.random.Generator, kinds: Collection[str], roles: Sequence[Role] = PAPER_ROLES
) -> Disturbance:
    """Draw a disturbance; kinds that are not asked for change nothing.

    Args:
        rng: Source of the draws: as many whatever the kinds, so that each kind's values are the
            same for the same seed whichever others are asked for.
        kinds: Some of `DISTURBANCES`.
        roles: Role of every stem; without both overheads they cannot be swapped.

    Raises:
        SettingError: If a kind is unknown or only the renderer can make it, or there is no stem.
    """
    check_kinds(kinds)
    if not roles:
        raise SettingError("roles", roles, "give at least one stem", problem="is empty")
    drawn = _draw_all(rng, len(roles))
    quiet = Disturbance.none(len(roles))

    def of(kind: str, name: str) -> Any:
        return drawn[name] if kind in kinds else getattr(quiet, name)

    return Disturbance(
        gains_db=of("gain", "gains_db"),
        dropped=of("dropout", "dropped"),
        inverted=of("polarity", "inverted"),
        delays_ms=of("delay", "delays_ms"),
        tilts_db=of("tilt", "tilts_db"),
        noise_dbfs=of("noise", "noise_dbfs"),
        is_overheads_swapped=of("overheads", "is_overheads_swapped")
        and all(role in roles for role in _OVERHEADS),
    )


def check_kinds(kinds: Collection[str]) -> None:
    """Refuse kinds of disturbance that do not exist or that only the renderer can make.

    Raises:
        SettingError: With the first such kind and those there are.
    """
    for kind in kinds:
        if kind in RENDERED_DISTURBANCES:
            why = f"names {kind}, which can only be disturbed as a kit is rendered, not in stems"
            raise SettingError("kinds", kind, "leave it out", problem=why)
        if kind not in DISTURBANCES:
            known = f"known: {', '.join(DISTURBANCES)}"
            raise SettingError("kinds", kind, known, problem=f"names {kind!r}, which is unknown")


def disturb(
    stems: FloatArray,
    rate_hz: int,
    disturbance: Disturbance,
    rng: np.random.Generator,
    *,
    roles: Sequence[Role] = PAPER_ROLES,
) -> FloatArray:
    """Do to the stems of a session what a disturbance says.

    Args:
        stems: Samples (stems, N).
        rate_hz: Sample rate in Hz.
        disturbance: One entry a stem.
        rng: Source of the noise itself.
        roles: Role of every stem; it says which are the overheads.

    Returns:
        New stems (stems, N). What a delay pushes past the end is lost.

    Raises:
        SettingError: If the disturbance is for another number of stems.
    """
    if not len(stems) == disturbance.n_microphones == len(roles):
        raise SettingError(
            "disturbance",
            disturbance,
            "give one for each",
            problem=f"is for {disturbance.n_microphones} microphones, and there are {len(stems)} "
            f"stems of {len(roles)} roles",
        )
    signs = np.where(disturbance.inverted, -1.0, 1.0)
    gains = (signs * db_to_gain(np.array(disturbance.gains_db))).astype(np.float32)
    disturbed = _filtered(gains[:, np.newaxis] * stems, rate_hz, disturbance)
    for stem, level_dbfs in zip(disturbed, disturbance.noise_dbfs, strict=True):
        if level_dbfs > -math.inf:
            stem += _noise(len(stem), level_dbfs, rng)
    disturbed[list(disturbance.dropped)] = 0.0
    swapped = disturbance.is_overheads_swapped
    return disturbed[source_stems(disturbance, roles)] if swapped else disturbed


def source_stems(disturbance: Disturbance, roles: Sequence[Role] = PAPER_ROLES) -> list[int]:
    """Which microphone each stem of the disturbed session comes from.

    >>> source_stems(Disturbance.none())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    order = list(range(len(roles)))
    if disturbance.is_overheads_swapped:
        left, right = (list(roles).index(role) for role in _OVERHEADS)
        order[left], order[right] = right, left
    return order


def _draw_all(rng: np.random.Generator, n_microphones: int) -> dict[str, Any]:
    """A value for every field, in a fixed order."""
    n = n_microphones
    gains = rng.uniform(-MAX_GAIN_DB, MAX_GAIN_DB, n)
    dropped, kept = rng.random(n) < DROPOUT_PROBABILITY, int(rng.integers(n))
    if dropped.all():
        dropped[kept] = False
    inverted = rng.random(n) < POLARITY_PROBABILITY
    delays = rng.uniform(0.0, MAX_DELAY_MS, n)
    tilts = rng.uniform(-MAX_TILT_DB, MAX_TILT_DB, n)
    noise = rng.uniform(*NOISE_DBFS, n)
    return {
        "gains_db": tuple(gains.tolist()),
        "dropped": tuple(dropped.tolist()),
        "inverted": tuple(inverted.tolist()),
        "delays_ms": tuple(delays.tolist()),
        "tilts_db": tuple(tilts.tolist()),
        "noise_dbfs": tuple(noise.tolist()),
        "is_overheads_swapped": bool(rng.random() < SWAP_PROBABILITY),
    }


def _filtered(stems: FloatArray, rate_hz: int, disturbance: Disturbance) -> FloatArray:
    """A new array with those stems delayed and tilted that are to be, in one transform."""
    delays_s = np.array(disturbance.delays_ms) / 1000.0
    tilts_db = np.array(disturbance.tilts_db)
    changed = np.flatnonzero((delays_s > 0.0) | (tilts_db != 0.0))
    if not changed.size or not stems.shape[1]:
        return stems
    n_samples = stems.shape[1]
    # Room for the delay, and for what rings before and after it, so that nothing wraps round.
    n_room = math.ceil(delays_s.max() * rate_hz) + 512
    n_fft = fft.next_fast_len(n_samples + n_room, real=True)
    bin_hz = rate_hz / n_fft
    spectra = fft.rfft(stems[changed], n_fft)
    tilts = _tilts(np.arange(spectra.shape[1]) * bin_hz, tilts_db[changed])
    for spectrum, tilt, delay_s in zip(spectra, tilts, delays_s[changed], strict=True):
        spectrum *= tilt
        spectrum *= _turns(-delay_s * bin_hz, len(spectrum))
    disturbed = stems.copy()
    disturbed[changed] = fft.irfft(spectra, n_fft)[:, :n_samples]
    return disturbed


def _tilts(frequencies_hz: np.ndarray, tilts_db: np.ndarray) -> NDArray[np.complex64]:
    """Responses of first-order tilts: 0 dB at the pivot, opposite gains far below and above.

    That is (1 + g jr) / (g + jr) with gain g and frequency r of the pivot's.
    """
    ratio = (frequencies_hz / TILT_PIVOT_HZ).astype(np.float32)
    gains = db_to_gain(tilts_db).astype(np.float32)[:, np.newaxis]
    tilts = np.empty((len(gains), len(ratio)), np.complex64)
    scale = 1.0 / (gains**2 + ratio**2)
    tilts.real = gains * (1.0 + ratio**2) * scale
    tilts.imag = (gains**2 - 1.0) * ratio * scale
    return tilts


def _turns(cycles: float, n: int) -> NDArray[np.complex64]:
    """exp(2 pi i cycles k) for k of 0 up to n, as products of far fewer exponentials."""
    n_fine = 256
    fine = np.exp(2j * np.pi * cycles * np.arange(n_fine))
    coarse = np.exp(2j * np.pi * cycles * n_fine * np.arange(n // n_fine + 1))
    turns = np.multiply.outer(coarse.astype(np.complex64), fine.astype(np.complex64))
    return turns.ravel()[:n]


def _noise(n_samples: int, level_dbfs: float, rng: np.random.Generator) -> FloatArray:
    """White noise of a given RMS; uniform rather than Gaussian, which is far faster to draw."""
    steps = np.frombuffer(rng.bytes(2 * n_samples), np.int16).astype(np.float32)
    rms = math.sqrt((2.0**32 - 1.0) / 12.0)
    return (steps + np.float32(0.5)) * np.float32(db_to_gain(level_dbfs) / rms)
