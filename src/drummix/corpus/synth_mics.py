"""Where the synthesised drums and microphones stand, and what each microphone hears.

In: patches (small radiating areas of a piece) and microphones, in metres.
Out: one impulse response per patch and microphone: delay, distance, direction, colour, room.
Axes as the drummer sees them: x to the right, y away from the drummer, z up from the floor.
Source: image sources after Allen and Berkley, JASA 65(4), 1979, here to the second order only;
diffuse level and decay after Sabine, from the direct sound on (Barron and Lee, JASA 84, 1988);
proximity effect of a pressure-gradient capsule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.corpus.kit import FloatArray

SPEED_OF_SOUND_M_S = 343.0

# Mirror rooms reached by one or two reflections.
_CELLS = np.array([c for c in product(range(-2, 3), repeat=3) if 1 <= np.abs(c).sum() <= 2])

Position = tuple[float, float, float]


@dataclass(frozen=True)
class Patch:
    """A small area of a piece that radiates.

    Args:
        position_m: Its middle.
        near_field_m: Below this distance the low modes, whose halves cancel far away, take over.
    """

    position_m: Position
    near_field_m: float


PATCHES: Mapping[str, Patch] = {
    "kick_batter": Patch((0.05, 0.28, 0.30), 0.20),
    "kick_front": Patch((0.05, 0.70, 0.30), 0.20),
    "snare_top": Patch((-0.20, 0.05, 0.68), 0.21),
    "snare_bottom": Patch((-0.20, 0.05, 0.54), 0.21),
    "tom_1": Patch((-0.16, 0.50, 0.96), 0.21),
    "tom_2": Patch((0.20, 0.50, 0.94), 0.21),
    "tom_3": Patch((0.50, 0.12, 0.66), 0.21),
    "tom_4": Patch((0.66, -0.32, 0.64), 0.21),
    "hihat_near": Patch((-0.52, 0.10, 0.90), 0.10),
    "hihat_far": Patch((-0.72, 0.18, 0.90), 0.10),
    "ride_near": Patch((0.50, 0.38, 1.04), 0.10),
    "ride_far": Patch((0.76, 0.46, 1.08), 0.10),
    "crash_1_near": Patch((-0.46, 0.52, 1.24), 0.10),
    "crash_1_far": Patch((-0.74, 0.62, 1.28), 0.10),
    "crash_2_near": Patch((0.50, 0.66, 1.30), 0.10),
    "crash_2_far": Patch((0.80, 0.72, 1.34), 0.10),
    "china_near": Patch((0.96, 0.24, 1.30), 0.10),
    "china_far": Patch((1.18, 0.30, 1.30), 0.10),
}


@dataclass(frozen=True)
class Microphone:
    """One microphone on its stand.

    Args:
        position_m: Where the capsule is.
        aim_m: The point that it looks at.
        gradient: Share of pressure gradient: 0 is an omni, 0.5 a cardioid.
        low_cut_hz: First-order low cut of the capsule and its preamp.
        presence_db: Lift of the band above about 3 kHz.
        inside: Patches heard directly; a shell or a head is in the way of all others. Empty: none.
        shell_cut_hz: High cut of what comes past the shell.
        shell_loss_db: Broadband loss of what comes past the shell.
    """

    position_m: Position
    aim_m: Position
    gradient: float
    low_cut_hz: float
    presence_db: float
    inside: tuple[str, ...] = ()
    shell_cut_hz: float = 20000.0
    shell_loss_db: float = 0.0


def _over(patch: str, position_m: Position, presence_db: float, low_cut_hz: float) -> Microphone:
    """A close microphone over a head; the rim and the shell shade it from the rest of the kit."""
    aim_m = PATCHES[patch].position_m
    return Microphone(position_m, aim_m, 0.5, low_cut_hz, presence_db, (patch,), shell_loss_db=6.0)


MICROPHONES: Mapping[str, Microphone] = {
    "KickIn": Microphone(
        position_m=(0.09, 0.40, 0.29),
        aim_m=PATCHES["kick_batter"].position_m,
        gradient=0.5,
        low_cut_hz=25.0,
        presence_db=8.0,
        inside=("kick_batter", "kick_front"),
        shell_cut_hz=900.0,
        shell_loss_db=6.0,
    ),
    "SnareTop": _over("snare_top", (-0.22, 0.17, 0.73), 5.0, 70.0),
    "SnareBottom": Microphone(
        position_m=(-0.18, 0.08, 0.43),
        aim_m=PATCHES["snare_bottom"].position_m,
        gradient=0.5,
        low_cut_hz=150.0,
        presence_db=7.0,
        inside=("snare_top", "snare_bottom"),
        shell_cut_hz=3500.0,
        shell_loss_db=6.0,
    ),
    # Looks away from the snare.
    "Hihat": Microphone((-0.66, 0.12, 1.03), (-0.76, 0.22, 0.90), 0.5, 180.0, 1.0),
    "Tom1": _over("tom_1", (-0.19, 0.60, 1.03), 6.0, 50.0),
    "Tom2": _over("tom_2", (0.23, 0.60, 1.01), 6.0, 50.0),
    "Tom3": _over("tom_3", (0.50, 0.25, 0.73), 6.0, 45.0),
    "Tom4": _over("tom_4", (0.70, -0.17, 0.72), 6.0, 45.0),
    # The right overhead hangs lower: the snare is as far from one overhead as from the other.
    "OHL": Microphone((-0.62, -0.05, 1.86), (-0.40, 0.25, 0.80), 0.5, 40.0, 1.5),
    "OHR": Microphone((0.56, 0.00, 1.68), (0.40, 0.25, 0.80), 0.5, 40.0, 1.5),
    "RoomL": Microphone((-1.30, 3.10, 1.35), (-0.30, 0.20, 0.80), 0.25, 30.0, 0.0),
    "RoomR": Microphone((1.35, 3.20, 1.35), (0.30, 0.20, 0.80), 0.25, 30.0, 0.0),
}


@dataclass(frozen=True)
class Room:
    """A shoebox room.

    Args:
        size_m: Length of the three edges.
        drummer_m: Place of the origin of all other positions, from one corner.
        t60_s: Reverberation time at 1 kHz.
    """

    size_m: Position = (6.4, 7.4, 2.9)
    drummer_m: Position = (3.05, 1.9, 0.0)
    t60_s: float = 0.40

    @property
    def absorption(self) -> float:
        """Mean absorption coefficient of the walls after Sabine."""
        x, y, z = self.size_m
        return 0.161 * x * y * z / (self.t60_s * 2.0 * (x * y + y * z + z * x))

    @property
    def diffuse_energy(self) -> float:
        """Energy of the diffuse field, relative to the direct sound at one metre."""
        x, y, z = self.size_m
        area_m2 = self.absorption * 2.0 * (x * y + y * z + z * x)
        return 16.0 * np.pi * (1.0 - self.absorption) / area_m2


@dataclass(frozen=True)
class Setup:
    """Everything that stands in the room, for one kit.

    Args:
        patches: Patch name -> patch.
        microphones: Channel name -> microphone.
        room: The room.
    """

    patches: Mapping[str, Patch]
    microphones: Mapping[str, Microphone]
    room: Room


def draw_setup(rng: np.random.Generator) -> Setup:
    """A setup with stands moved by a centimetre or two and a slightly different room.

    Args:
        rng: Source of the differences between kits.

    Returns:
        The setup; both overheads are as far from the snare as each other within 5 cm.
    """

    def moved(position_m: Position, sd_m: float) -> Position:
        x, y, z = np.asarray(position_m) + rng.normal(0.0, sd_m, 3).clip(-2 * sd_m, 2 * sd_m)
        return (float(x), float(y), float(z))

    microphones = {
        name: replace(mic, position_m=moved(mic.position_m, 0.01 if "Room" not in name else 0.1))
        for name, mic in MICROPHONES.items()
    }
    scale = rng.uniform(0.92, 1.08)
    base = Room()
    width, depth, height = base.size_m
    room = replace(
        base,
        size_m=(width * scale, depth * scale, height),
        t60_s=base.t60_s * rng.uniform(0.9, 1.1),
    )
    return Setup(PATCHES, microphones, room)


def distance_m(a_m: Position, b_m: Position) -> float:
    """Distance between two points.

    >>> distance_m((0.0, 0.0, 0.0), (3.0, 4.0, 0.0))
    5.0
    """
    return float(np.linalg.norm(np.subtract(a_m, b_m)))


def impulse_responses(
    setup: Setup, patches: tuple[str, ...], *, rate_hz: int, rng: np.random.Generator
) -> FloatArray:
    """What every microphone hears of an impulse at each patch.

    Args:
        setup: Positions and room.
        patches: Names of the patches, in the order of the result.
        rate_hz: Sample rate.
        rng: Source of the diffuse tails; patches of one call share their tails.

    Returns:
        Responses, shape (patches, microphones, samples), relative to 1.0 at one metre.
    """
    n_samples = int((1.15 * setup.room.t60_s + 0.03) * rate_hz)
    n_fft = int(fft.next_fast_len(n_samples + rate_hz // 50, real=True))
    frequency_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz).astype(np.float64)
    responses = np.empty((len(patches), len(setup.microphones), n_samples), np.float32)
    for column, (channel, mic) in enumerate(setup.microphones.items()):
        way_s = (
            distance_m(mic.position_m, setup.patches[patches[0]].position_m) / SPEED_OF_SOUND_M_S
        )
        tail = _diffuse_tail(setup.room, mic, way_s, rate_hz=rate_hz, n_fft=n_fft, rng=rng)
        capsule = capsule_spectrum(mic, frequency_hz)
        for row, patch in enumerate(patches):
            source = setup.patches[patch]
            through = _through_shell(mic, patch, frequency_hz)
            direct = direct_spectrum(mic, source, frequency_hz)
            early = _early_spectrum(setup, mic, source.position_m, rate_hz=rate_hz, n_fft=n_fft)
            # The air inside a kick drum hardly knows the room; a kick is loud out there too.
            outside = 0.3 if channel == "KickIn" else 1.0
            total = capsule * through * (direct + outside * (early + tail))
            responses[row, column] = fft.irfft(total, n_fft)[:n_samples]
    return responses


def direct_spectrum(
    mic: Microphone, patch: Patch, frequency_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Transfer function of the direct path from a patch to a microphone.

    Args:
        mic: The microphone.
        patch: What sounds.
        frequency_hz: Frequencies, starting at 0.

    Returns:
        Pressure for a pressure of 1.0 at one metre: delay, 1/r, direction, proximity.
    """
    r_m = distance_m(mic.position_m, patch.position_m)
    cosine = _cosine(mic, patch.position_m)
    delay = np.exp(-2j * np.pi * frequency_hz * r_m / SPEED_OF_SOUND_M_S)
    # A drum head is no point: up close the field stops growing. Hence the two offsets in metres.
    spread = 1.0 / np.hypot(r_m, 0.04)
    near = 1.0 + (patch.near_field_m / r_m) ** 2 / (1.0 + 1j * frequency_hz / 700.0) ** 2
    # The leak keeps it causal: a pure integrator would ring before the sound.
    bend_hz = SPEED_OF_SOUND_M_S / (2.0 * np.pi * (r_m + 0.25))
    bent = 1.0 + bend_hz / (1j * frequency_hz + 12.0)
    direction = (1.0 - mic.gradient) + mic.gradient * cosine * bent
    floor = 0.12 * mic.gradient
    direction = direction + floor * (1.0 - cosine)
    off_axis_hz = 18000.0 * (0.35 + 0.65 * (1.0 + cosine) / 2.0)
    high_cut = 1.0 / (1.0 + 1j * frequency_hz / off_axis_hz)
    return delay * spread * near * direction * high_cut


def capsule_spectrum(mic: Microphone, frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Colour of a microphone on its axis: low cut and presence lift, both first order."""
    low = 1j * frequency_hz / mic.low_cut_hz
    lift = 10.0 ** (mic.presence_db / 20.0)
    high = 1j * frequency_hz / 3500.0
    return low / (1.0 + low) * (1.0 + lift * high) / (1.0 + high)


def _cosine(mic: Microphone, position_m: Position) -> float:
    axis = np.subtract(mic.aim_m, mic.position_m)
    towards = np.subtract(position_m, mic.position_m)
    return float(axis @ towards / (np.linalg.norm(axis) * np.linalg.norm(towards)))


def _through_shell(
    mic: Microphone, patch: str, frequency_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    if not mic.inside or patch in mic.inside:
        return np.ones(len(frequency_hz), np.complex128)
    loss = 10.0 ** (-mic.shell_loss_db / 20.0)
    return loss / (1.0 + 1j * frequency_hz / mic.shell_cut_hz)


def _early_spectrum(
    setup: Setup, mic: Microphone, position_m: Position, *, rate_hz: int, n_fft: int
) -> NDArray[np.complex128]:
    """First and second reflections off the six walls, by image sources."""
    room = setup.room
    size = np.asarray(room.size_m)
    source = np.asarray(position_m) + room.drummer_m
    listener = np.asarray(mic.position_m) + room.drummer_m
    mirrored = np.where(_CELLS % 2 == 0, source, size - source)
    r_m = np.linalg.norm(_CELLS * size + mirrored - listener, axis=1)
    order = np.abs(_CELLS).sum(axis=1)
    gain = (1.0 - room.absorption) ** (order / 2.0) / r_m * (1.0 - 0.5 * mic.gradient)
    position = r_m / SPEED_OF_SOUND_M_S * rate_hz
    start = position.astype(int)
    fraction = position - start
    taps = np.zeros(n_fft)
    np.add.at(taps, start, gain * (1.0 - fraction))
    np.add.at(taps, start + 1, gain * fraction)
    frequency_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    walls = 1.0 / (1.0 + 1j * frequency_hz / 7000.0)
    spectrum: NDArray[np.complex128] = fft.rfft(taps) * walls
    return spectrum


def _diffuse_tail(
    room: Room,
    mic: Microphone,
    way_s: float,
    *,
    rate_hz: int,
    n_fft: int,
    rng: np.random.Generator,
) -> NDArray[np.complex128]:
    """Gaussian tail after the direct sound, softer in the highs, at the level Sabine gives."""
    time_s = np.arange(n_fft, dtype=np.float32) / rate_hz
    frequency_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    # The first milliseconds belong to the image sources.
    rise = 1.0 - np.exp(-((np.maximum(time_s - way_s, 0.0) / 0.008) ** 2))
    low_share = 1.0 / (1.0 + (frequency_hz / 3000.0) ** 2)
    spectrum = np.zeros(len(frequency_hz), np.complex128)
    for share, t60_s in ((low_share, room.t60_s), (1.0 - low_share, 0.65 * room.t60_s)):
        decay = 6.0 * np.log(10.0) / t60_s
        level = np.sqrt(room.diffuse_energy * decay / rate_hz)
        noise = rng.standard_normal(n_fft, np.float32) * level * rise
        spectrum += fft.rfft(noise * np.exp(-0.5 * decay * time_s)) * np.sqrt(share)
    # A first-order microphone takes in this share of what an omni does in a diffuse field.
    p = mic.gradient
    reach = np.sqrt((1.0 - p) ** 2 + p**2 / 3.0)
    return spectrum * reach
