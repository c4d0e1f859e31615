"""Disturbances of stems, by the physics of each kind."""

import math

import numpy as np
import pytest

from drummix.corpus.disturbance import (
    DISTURBANCES,
    DROPOUT_PROBABILITY,
    POLARITY_PROBABILITY,
    SWAP_PROBABILITY,
    Disturbance,
    disturb,
    draw_disturbance,
)
from drummix.errors import SettingError
from drummix.roles import PAPER_ROLES, Role

RATE_HZ = 44100
FIELDS = {
    "gain": "gains_db",
    "dropout": "dropped",
    "polarity": "inverted",
    "delay": "delays_ms",
    "tilt": "tilts_db",
    "noise": "noise_dbfs",
    "overheads": "is_overheads_swapped",
}
QUIET = Disturbance.none()


def only(**changes) -> Disturbance:
    """A disturbance that does nothing but the given fields, the same for all microphones."""
    per_microphone = {name: (value,) * 8 for name, value in changes.items()}
    return Disturbance(**{**QUIET.__dict__, **per_microphone})


def of(name: str, values) -> Disturbance:
    return Disturbance(**{**QUIET.__dict__, name: tuple(values)})


def stems_of_noise(n_samples: int = 8192) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal((8, n_samples))).astype(np.float32)


def disturbed(stems: np.ndarray, disturbance: Disturbance, *, rate_hz: int = RATE_HZ) -> np.ndarray:
    return disturb(stems, rate_hz, disturbance, np.random.default_rng(2))


def test_gain_is_exact_for_each_microphone():
    stems = stems_of_noise()
    gains_db = np.linspace(-12.0, 12.0, 8)
    ratio = disturbed(stems, of("gains_db", gains_db)) / stems
    expected = np.broadcast_to(10 ** (gains_db[:, np.newaxis] / 20), stems.shape)
    np.testing.assert_allclose(ratio, expected, rtol=1e-6)  # float32


def test_gain_then_inverse_gain_is_identity():
    stems = stems_of_noise()
    there = disturbed(stems, only(gains_db=7.3))
    np.testing.assert_allclose(disturbed(there, only(gains_db=-7.3)), stems, rtol=1e-6)


def test_polarity_turns_the_samples_of_inverted_microphones_over():
    stems = stems_of_noise()
    inverted = [True, False] * 4
    turned = disturbed(stems, of("inverted", inverted))
    assert np.array_equal(turned[::2], -stems[::2])
    assert np.array_equal(turned[1::2], stems[1::2])


def test_a_dropped_microphone_is_silent_to_the_last_bit_and_so_is_its_noise():
    stems = stems_of_noise()
    dropped = [False, True] * 4
    disturbance = Disturbance(
        **{**QUIET.__dict__, "dropped": tuple(dropped), "noise_dbfs": (-60.0,) * 8}
    )
    heard = disturbed(stems, disturbance)
    assert not heard[1::2].any()
    assert heard[::2].any(axis=1).all()


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
@pytest.mark.parametrize("delay_ms", [0.0625, 0.37, 0.5, 0.999])
def test_a_delay_turns_phase_by_its_time_and_keeps_the_level(rate_hz, delay_ms):
    # 1 kHz and 5 kHz in the middle of the stem, where no edge is heard.
    time_s = np.arange(rate_hz // 5) / rate_hz
    window = np.hanning(len(time_s))
    for frequency_hz in (1000.0, 5000.0):
        tone = np.sin(2 * np.pi * frequency_hz * time_s) * window
        stems = np.tile(tone, (8, 1)).astype(np.float32)
        late = disturbed(stems, only(delays_ms=delay_ms), rate_hz=rate_hz)[3]
        probe = np.exp(-2j * np.pi * frequency_hz * time_s)
        turned = np.vdot(tone @ probe, late @ probe)
        cycles = delay_ms / 1000.0 * frequency_hz
        error_cycles = (np.angle(turned) / (2 * np.pi) + cycles + 0.5) % 1.0 - 0.5
        # A thousandth of a cycle: 0.2 microseconds at 5 kHz, a hundredth of a sample.
        assert abs(error_cycles) < 1e-3
        assert abs(late @ probe) == pytest.approx(abs(tone @ probe), rel=1e-3)


def test_a_delay_of_whole_samples_moves_the_stem_by_them():
    stems = np.zeros((8, 4000), np.float32)
    stems[:, 1000] = 1.0
    late = disturbed(stems, only(delays_ms=20 / RATE_HZ * 1000.0))
    expected = np.zeros_like(stems)
    expected[:, 1020] = 1.0
    np.testing.assert_allclose(late, expected, atol=1e-5)


def test_the_peak_of_the_cross_correlation_of_a_fractional_delay_lies_between_the_samples():
    time = np.arange(2000) - 1000.0
    pulse = np.exp(-((time / 6.0) ** 2))
    stems = np.tile(pulse, (8, 1)).astype(np.float32)
    late = disturbed(stems, only(delays_ms=12.25 / RATE_HZ * 1000.0))[0]
    correlation = np.correlate(late, stems[0], "full")
    at = int(np.argmax(correlation))
    left, top, right = np.log(correlation[at - 1 : at + 2])  # a Gaussian: a parabola in its log
    peak = at + 0.5 * (left - right) / (left - 2 * top + right) - (len(time) - 1)
    assert peak == pytest.approx(12.25, abs=0.01)


def test_what_a_delay_pushes_past_the_end_does_not_come_back_at_the_start():
    stems = np.zeros((8, 1000), np.float32)
    # A pulse without energy near half the rate, which would ring both ways by itself.
    stems[:, -60:] = np.hanning(60).astype(np.float32)
    late = disturbed(stems, only(delays_ms=0.9))
    assert np.abs(late[:, :500]).max() < 1e-5


@pytest.mark.parametrize("tilt_db", [-3.0, -1.0, 2.0, 3.0])
def test_a_tilt_is_nothing_at_1_khz_and_opposite_far_from_it(tilt_db):
    impulse = np.zeros((8, 65536), np.float32)
    impulse[:, 30000] = 1.0
    response = np.fft.rfft(disturbed(impulse, only(tilts_db=tilt_db))[5])
    frequencies_hz = np.fft.rfftfreq(65536, 1 / RATE_HZ)
    levels_db = 20 * np.log10(np.abs(response))
    # A first-order shelf is within 0.1 dB of its ends two decades away; 20 kHz is 1.3 decades.
    for frequency_hz, expected_db in ((1000.0, 0.0), (15.0, -tilt_db), (20000.0, tilt_db)):
        at = int(np.argmin(np.abs(frequencies_hz - frequency_hz)))
        assert levels_db[at] == pytest.approx(expected_db, abs=0.05)
    assert np.all(np.diff(levels_db[20:30000]) * np.sign(tilt_db) > -1e-3)


def test_a_tilt_and_its_opposite_cancel():
    stems = stems_of_noise()
    there = disturbed(stems, only(tilts_db=3.0))
    # White noise up to half the rate rings a little past both ends, and that is lost.
    inner = slice(256, -256)
    np.testing.assert_allclose(
        disturbed(there, only(tilts_db=-3.0))[:, inner], stems[:, inner], atol=2e-5
    )


@pytest.mark.parametrize("level_dbfs", [-90.0, -75.0, -60.0])
def test_noise_has_its_level_is_white_and_differs_between_microphones(level_dbfs):
    noise = disturbed(np.zeros((8, 100_000), np.float32), only(noise_dbfs=level_dbfs))
    rms_db = 20 * np.log10(np.sqrt(np.mean(noise.astype(np.float64) ** 2, axis=1)))
    # The variance of 100,000 uniform samples is known to 0.3 %, 0.012 dB; five times that.
    np.testing.assert_allclose(rms_db, level_dbfs, atol=0.06)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[:, 2**k : 2 ** (k + 1)].mean(axis=1) for k in range(9, 15)]
    # 512 bins an octave and more: 4.4 % a standard deviation, 0.19 dB.
    np.testing.assert_allclose(10 * np.log10(octaves / np.mean(octaves)), 0.0, atol=0.9)
    correlation = np.corrcoef(noise) - np.eye(8)
    assert np.abs(correlation).max() < 5 / math.sqrt(100_000)


def test_noise_is_at_its_level_whatever_the_gain():
    silence = np.zeros((8, 10_000), np.float32)
    loud = Disturbance(**{**only(noise_dbfs=-60.0).__dict__, "gains_db": (12.0,) * 8})
    assert np.array_equal(disturbed(silence, loud), disturbed(silence, only(noise_dbfs=-60.0)))


def test_swapped_overheads_change_places_with_what_was_done_to_them():
    stems = stems_of_noise()
    gains_db = (0.0,) * 6 + (6.0, -6.0)
    swapped = Disturbance(**{**QUIET.__dict__, "gains_db": gains_db, "is_overheads_swapped": True})
    heard = disturbed(stems, swapped)
    plain = disturbed(stems, of("gains_db", gains_db))
    assert np.array_equal(heard, plain[[0, 1, 2, 3, 4, 5, 7, 6]])


def test_no_disturbance_gives_an_equal_new_array_and_no_argument_is_written_to():
    stems = stems_of_noise()
    kept = stems.copy()
    same = disturbed(stems, QUIET)
    assert np.array_equal(same, stems)
    assert not np.shares_memory(same, stems)
    disturbed(stems, draw_disturbance(np.random.default_rng(0), DISTURBANCES))
    assert np.array_equal(stems, kept)


def test_an_empty_stem_stays_empty():
    all_kinds = draw_disturbance(np.random.default_rng(0), DISTURBANCES)
    assert disturbed(np.zeros((8, 0), np.float32), all_kinds).shape == (8, 0)


@pytest.mark.parametrize("kind", DISTURBANCES)
def test_each_kind_draws_its_values_whichever_others_are_on(kind):
    alone = draw_disturbance(np.random.default_rng(7), [kind])
    together = draw_disturbance(np.random.default_rng(7), DISTURBANCES)
    without = draw_disturbance(np.random.default_rng(7), [k for k in DISTURBANCES if k != kind])
    assert getattr(alone, FIELDS[kind]) == getattr(together, FIELDS[kind])
    for other, name in FIELDS.items():
        if other != kind:
            assert getattr(alone, name) == getattr(QUIET, name)
            assert getattr(without, name) == getattr(together, name)


def test_draws_stay_in_their_ranges_and_fill_them():
    rng = np.random.default_rng(3)
    drawn = [draw_disturbance(rng, DISTURBANCES) for _ in range(500)]
    for name, lowest, highest in (
        ("gains_db", -12.0, 12.0),
        ("delays_ms", 0.0, 1.0),
        ("tilts_db", -3.0, 3.0),
        ("noise_dbfs", -90.0, -60.0),
    ):
        values = np.array([getattr(d, name) for d in drawn])
        assert values.min() >= lowest
        assert values.max() < highest
        # Uniform: 4,000 draws come within 1 % of either end but once in 10^17.
        assert np.ptp(values) > 0.98 * (highest - lowest)
        assert values.mean() == pytest.approx((lowest + highest) / 2, abs=0.03 * np.ptp(values))
    for name, share in (("dropped", DROPOUT_PROBABILITY), ("inverted", POLARITY_PROBABILITY)):
        found = np.mean([getattr(d, name) for d in drawn])
        # Four standard deviations of 4,000 draws at 5 and 10 %.
        assert found == pytest.approx(share, abs=0.02)
    swapped = np.mean([d.is_overheads_swapped for d in drawn])
    assert swapped == pytest.approx(SWAP_PROBABILITY, abs=0.055)


def test_one_microphone_always_stays(monkeypatch):
    monkeypatch.setattr("drummix.corpus.disturbance.DROPOUT_PROBABILITY", 1.0)
    rng = np.random.default_rng(0)
    kept = [draw_disturbance(rng, ["dropout"]).dropped for _ in range(200)]
    assert all(sum(dropped) == 7 for dropped in kept)
    assert {dropped.index(False) for dropped in kept} == set(range(8))


def test_overheads_that_are_not_there_are_not_swapped(monkeypatch):
    monkeypatch.setattr("drummix.corpus.disturbance.SWAP_PROBABILITY", 1.0)
    rng = np.random.default_rng(0)
    assert draw_disturbance(rng, ["overheads"]).is_overheads_swapped
    pair = (Role.KICK, Role.OVERHEAD_LEFT)
    assert not draw_disturbance(rng, ["overheads"], pair).is_overheads_swapped


def test_a_disturbance_survives_its_record():
    drawn = draw_disturbance(np.random.default_rng(5), DISTURBANCES)
    assert Disturbance.from_mapping(drawn.to_mapping()) == drawn
    assert Disturbance.from_mapping(QUIET.to_mapping()) == QUIET
    assert QUIET.to_mapping()["noise_dbfs"] == [None] * 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gains_db": [1.0] * 7}, "different numbers of microphones.*gains_db 7"),
        ({"gains_db": [math.nan] * 8}, "gains_db.0. is nan; expected a number"),
        ({"gains_db": "loud"}, "gains_db is 'loud'; expected a list"),
        ({"gains_db": ["loud"] * 8}, "gains_db.0. is 'loud'; expected a number"),
        ({"delays_ms": [-0.5] * 8}, "delays_ms.0. is -0.5; expected a number from 0"),
        ({"dropped": [1] * 8}, "dropped.0. is 1; expected true or false"),
        ({"noise_dbfs": [math.inf] * 8}, "noise_dbfs.0. is inf; expected a number"),
        ({"is_overheads_swapped": 0}, "is_overheads_swapped is 0; expected true or false"),
        ({"speed": 2}, "unknown key speed; known: delays_ms, dropped"),
    ],
)
def test_a_damaged_record_is_refused_with_what_is_wrong(change, words):
    with pytest.raises(SettingError, match=words):
        Disturbance.from_mapping({**QUIET.to_mapping(), **change})


def test_kinds_that_do_not_exist_or_need_the_kit_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(SettingError, match=r"'gains', which is unknown; known: gain, dropout"):
        draw_disturbance(rng, ["gains"])
    with pytest.raises(
        SettingError, match="tuning, which can only be disturbed as a kit is rendered"
    ):
        draw_disturbance(rng, ["tuning"])
    with pytest.raises(SettingError, match="at least one"):
        draw_disturbance(rng, ["gain"], [])


def test_a_disturbance_for_other_stems_is_refused():
    with pytest.raises(SettingError, match="8 microphones, and there are 3 stems"):
        disturbed(np.zeros((3, 10), np.float32), QUIET)
    pair = Disturbance.none(2)
    roles = PAPER_ROLES[:2]
    rng = np.random.default_rng(0)
    assert disturb(np.ones((2, 5), np.float32), RATE_HZ, pair, rng, roles=roles).shape == (2, 5)
