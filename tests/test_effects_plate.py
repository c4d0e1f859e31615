import math

import numpy as np
import pytest

from drummix.effects.plate import (
    MIN_T60_S,
    PLATE_RATE_HZ,
    PlateStream,
    decay_for_t60,
    plate,
    plate_send,
    t60_of_decay,
)
from drummix.errors import SettingError
from drummix.levels import db_to_gain, gain_to_db

RATES_HZ = [44_100, 48_000, 96_000]
STILL = {"bandwidth": 1.0, "excursion_samples": 0.0}


def impulse(duration_s: float, rate_hz: int) -> np.ndarray:
    track = np.zeros((1, round(duration_s * rate_hz)), dtype=np.float32)
    track[0, 0] = 1.0
    return track


def noise(n_channels: int = 1, n_samples: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (0.2 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def t60_s(response: np.ndarray, rate_hz: int) -> float:
    """Reverberation time of all channels by the backward integral (Schroeder), -5 to -35 dB."""
    energy = np.square(np.atleast_2d(response), dtype=np.float64).sum(axis=0)
    remaining = np.cumsum(energy[::-1])[::-1]
    level_db = 10 * np.log10(remaining[remaining > 0] / remaining[0])
    start, end = np.argmax(level_db < -5), np.argmax(level_db < -35)
    slope = np.polyfit(np.arange(start, end) / rate_hz, level_db[start:end], 1)[0]
    return -60.0 / slope


@pytest.fixture(scope="module")
def still_response() -> np.ndarray:
    """Impulse response of the unmoving plate at decay 0.5 at its own rate: no resampling."""
    return plate(impulse(8.0, PLATE_RATE_HZ), PLATE_RATE_HZ, decay=0.5, **STILL).astype(np.float64)


@pytest.mark.parametrize(
    ("channel", "position", "value"),
    [
        (0, 266, -0.0922852),
        (0, 373, -0.053833),
        (0, 408, -0.053833),
        (0, 480, 0.0403748),
        (1, 353, -0.0922852),
        (1, 460, -0.053833),
        (1, 495, -0.053833),
        (1, 567, 0.0403748),
    ],
)
def test_first_echoes_are_those_computed_from_the_published_figure(
    still_response, channel, position, value
):
    # -0.6 * 0.7 * 0.75^2 * 0.625^2 and its neighbours through the input all-passes.
    assert still_response[channel, position] == pytest.approx(value, abs=5e-8)


def test_nothing_sounds_before_the_first_echo(still_response):
    assert np.flatnonzero(still_response[0])[0] == 266
    assert np.flatnonzero(still_response[1])[0] == 353


def test_both_sides_carry_the_known_energy_and_do_not_correlate(still_response):
    energies = np.square(still_response).sum(axis=1)
    assert energies == pytest.approx([1.5994, 1.5993], abs=1e-4)
    left, right = still_response
    assert abs(left @ right) / math.sqrt(energies.prod()) < 1e-4


@pytest.mark.parametrize(
    ("decay", "expected_s"),
    [(0.3, 1.16), (0.4, 1.50), (0.5, 1.98), (0.6, 2.70), (0.7, 3.86), (0.8, 6.17), (0.9, 13.06)],
)
def test_t60_by_decay_is_the_measured_table(decay, expected_s):
    track = impulse(1.2 * expected_s + 0.5, PLATE_RATE_HZ)
    response = plate(track, PLATE_RATE_HZ, decay=decay, **STILL)[0]
    # 1% holds the table's own rounding (0.4% at 1.16 s) and the end that is cut off.
    assert t60_s(response, PLATE_RATE_HZ) == pytest.approx(expected_s, rel=0.01)


@pytest.mark.parametrize("wanted_s", [0.54, 0.58, 0.7, 0.9, 1.2, 1.45, 2.0, 4.0])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_decay_for_t60_gives_that_time_at_any_rate(wanted_s, rate_hz):
    track = impulse(1.3 * wanted_s + 0.5, rate_hz)
    response = plate(track, rate_hz, decay=decay_for_t60(wanted_s), **STILL)
    assert t60_s(response, rate_hz) == pytest.approx(wanted_s, rel=0.02)


@pytest.mark.parametrize("excursion_samples", [8.0, 16.0])
def test_movement_shortens_a_tail_of_two_seconds_by_less_than_5_percent(excursion_samples):
    settings = {"decay": 0.5, "bandwidth": 1.0, "excursion_samples": excursion_samples}
    response = plate(impulse(3.0, PLATE_RATE_HZ), PLATE_RATE_HZ, **settings)[0]
    assert 0.95 < t60_s(response, PLATE_RATE_HZ) / 1.98 < 1.0


def test_a_fractional_delay_takes_nothing_from_the_tail():
    # At 0 Hz one all-pass stays 7.5 samples longer: half-way between two samples.
    settings = {"bandwidth": 1.0, "excursion_samples": 7.5, "modulation_hz": 0.0}
    response = plate(impulse(3.0, PLATE_RATE_HZ), PLATE_RATE_HZ, decay=0.5, **settings)[0]
    assert t60_s(response, PLATE_RATE_HZ) == pytest.approx(1.98, rel=0.01)


def test_the_two_all_passes_move_a_quarter_of_a_period_apart(still_response):
    # At 0 Hz and phase zero the sine's half rests and only the cosine's is longer, so the
    # right side, fed by the resting half at first, hears it only through a tap at 2,111.
    settings = {"bandwidth": 1.0, "excursion_samples": 8.0, "modulation_hz": 0.0}
    response = plate(impulse(1.0, PLATE_RATE_HZ), PLATE_RATE_HZ, decay=0.5, **settings)
    left, right = np.abs(response - still_response[:, :PLATE_RATE_HZ]) > 1e-6
    assert np.flatnonzero(left)[0] == 266 + 908
    assert np.flatnonzero(right)[0] == 2111 + 908


def test_a_still_plate_is_linear():
    one, other = noise()[:, :9000], noise()[:, 9000:18_000]
    settings = {"decay": 0.6, **STILL}
    summed = plate(one + 0.5 * other, 48_000, **settings)
    expected = plate(one, 48_000, **settings) + 0.5 * plate(other, 48_000, **settings)
    np.testing.assert_allclose(summed, expected, atol=2e-6)


def test_stereo_is_summed_to_its_mean():
    track = noise(2)
    from_stereo = plate(track, 44_100, **STILL)
    from_mono = plate(track.mean(axis=0, keepdims=True), 44_100, **STILL)
    np.testing.assert_allclose(from_stereo, from_mono, atol=1e-7)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_predelay_shifts_the_reverberation_by_its_time(rate_hz):
    track, shift = noise(), round(0.025 * rate_hz)
    plain = plate(track[:, : track.shape[1] - shift], rate_hz, **STILL)
    delayed = plate(track, rate_hz, predelay_ms=25.0, **STILL)
    np.testing.assert_array_equal(delayed[:, :shift], 0.0)
    # What comes later moves the rounding of soxr's transforms.
    np.testing.assert_allclose(delayed[:, shift:], plain, atol=5e-7)


def test_predelay_longer_than_the_track_is_silence():
    np.testing.assert_array_equal(plate(noise(1, 400), 44_100, predelay_ms=100.0), 0.0)


@pytest.mark.parametrize(("cut", "corner_hz"), [("high_cut_hz", 5000.0), ("low_cut_hz", 200.0)])
def test_cuts_are_3_db_down_at_their_corner(cut, corner_hz):
    track = impulse(3.0, 48_000)
    open_plate = np.fft.rfft(plate(track, 48_000, **STILL)[0])
    cut_plate = np.fft.rfft(plate(track, 48_000, **{cut: corner_hz}, **STILL)[0])
    corner = round(corner_hz * 3)
    ratio_db = gain_to_db(float(abs(cut_plate[corner]) / abs(open_plate[corner])))
    assert ratio_db == pytest.approx(-10 * math.log10(2), abs=0.02)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_spectrum_below_12_khz_does_not_depend_on_the_rate(rate_hz):
    def spectrum(rate_hz: int) -> np.ndarray:
        # Not at the very start: a resampled impulse begins before its own time.
        track = np.roll(impulse(5.0, rate_hz), rate_hz // 10)
        return np.abs(np.fft.rfft(plate(track, rate_hz, decay=0.5, **STILL)[0]))[: 12_000 * 5]

    native = spectrum(PLATE_RATE_HZ)
    # Decay leaves -140 dB after five seconds; the resampler is flat to a hundredth of a dB.
    np.testing.assert_allclose(spectrum(rate_hz), native, atol=2e-3 * native.max())


@pytest.mark.parametrize("size", [0.25, 0.4])
def test_a_smaller_plate_is_the_same_one_in_less_time(size):
    """At its own rate, which is higher by the factor, every sample is the full plate's."""
    impulse = np.zeros((1, 40_000))
    impulse[0, 0] = 1.0
    settings = {"decay": 0.4, "excursion_samples": 0.0}
    full = plate(impulse, PLATE_RATE_HZ, **settings)
    small = plate(impulse, round(PLATE_RATE_HZ / size), size=size, **settings)
    np.testing.assert_array_equal(small, full)


def test_damping_takes_high_frequencies_out_of_the_tail():
    track = impulse(2.0, PLATE_RATE_HZ)
    bright, dark = (
        plate(track, PLATE_RATE_HZ, damping=damping, **STILL)[0, PLATE_RATE_HZ:]
        for damping in (0.0, 0.4)
    )

    def balance_db(tail: np.ndarray) -> float:
        power = np.square(np.abs(np.fft.rfft(tail)))
        low, high = power[200:1000].sum(), power[8000:12_000].sum()
        return 10 * math.log10(high / low)

    # Every 0.73 s round the tank passes two one-poles of -6.4 dB each at 10 kHz.
    assert balance_db(dark) < balance_db(bright) - 12


def test_bandwidth_is_a_one_pole_low_pass_on_the_input():
    track = impulse(3.0, PLATE_RATE_HZ)
    settings = {"excursion_samples": 0.0, "decay": 0.5}
    full = np.fft.rfft(plate(track, PLATE_RATE_HZ, bandwidth=1.0, **settings)[0])
    narrow = np.fft.rfft(plate(track, PLATE_RATE_HZ, bandwidth=0.3, **settings)[0])
    omega = 2 * np.pi * np.arange(full.size) / track.shape[1]
    expected = 0.3 / np.abs(1 - 0.7 * np.exp(-1j * omega))
    heard = np.abs(full) > 0.1
    np.testing.assert_allclose(np.abs(narrow / full)[heard], expected[heard], rtol=0.01)


@pytest.mark.parametrize(
    "changed",
    [
        {"decay": 0.6},
        {"size": 0.5},
        {"predelay_ms": 10.0},
        {"bandwidth": 0.5},
        {"damping": 0.3},
        {"low_cut_hz": 300.0},
        {"high_cut_hz": 4000.0},
        {"excursion_samples": 12.0},
        {"modulation_hz": 2.0},
    ],
)
def test_every_setting_changes_the_result(changed):
    track = noise(2, 40_000)
    before = plate(track, 44_100)
    after = plate(track, 44_100, **changed)
    assert np.abs(after - before).max() > 1e-3
    sent = plate_send(track, 44_100, wet_db=0.0, **changed)
    np.testing.assert_allclose(sent - track, after, atol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("wet_db", [-20.0, 3.0])
def test_send_keeps_the_direct_sound_and_adds_the_plate_at_its_gain(n_channels, wet_db):
    track = noise(n_channels)
    added = plate_send(track, 44_100, wet_db=wet_db) - track
    np.testing.assert_allclose(added, db_to_gain(wet_db) * plate(track, 44_100), atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("decay", 1.0),
        ("decay", -0.1),
        ("size", 1.1),
        ("size", 0.2),
        ("predelay_ms", -1.0),
        ("bandwidth", 1.1),
        ("damping", -0.1),
        ("excursion_samples", 17.0),
        ("modulation_hz", 11.0),
        ("frequency_hz", None),
    ],
)
def test_setting_out_of_range_raises(setting, value):
    settings = {"low_cut_hz": 0.0} if setting == "frequency_hz" else {setting: value}
    with pytest.raises(SettingError, match=setting):
        plate(noise(), 44_100, **settings)


def test_cut_above_half_the_rate_raises():
    with pytest.raises(SettingError, match="frequency_hz is 30000"):
        plate(noise(), 44_100, high_cut_hz=30_000.0)


def test_three_channels_raise():
    with pytest.raises(SettingError, match="3 channels"):
        plate(noise(3), 44_100)


@pytest.mark.parametrize("decay", [0.0, 0.06, 0.3, 0.38, 0.4, 0.42, 0.7])
def test_the_time_told_for_a_decay_is_the_one_measured_and_goes_back_to_it(decay):
    told_s = t60_of_decay(decay)
    response = plate(
        impulse(1.3 * told_s + 0.5, PLATE_RATE_HZ), PLATE_RATE_HZ, decay=decay, **STILL
    )
    assert t60_s(response, PLATE_RATE_HZ) == pytest.approx(told_s, rel=0.015)
    assert decay_for_t60(max(MIN_T60_S, told_s)) == pytest.approx(decay, abs=0.02)


@pytest.mark.parametrize("size", [0.8, 0.5, 0.25])
def test_a_smaller_plate_has_the_same_level_below_14_khz_and_goes_on_above(size):
    track = noise(n_samples=8 * 44_100)
    levels_db = []
    for one_size in (1.0, size):
        wet = plate(track, 44_100, size=one_size, decay=0.5, excursion_samples=0.0)[:, 4 * 44_100 :]
        power = np.square(np.abs(np.fft.rfft(wet))).sum(axis=0)
        hz = np.fft.rfftfreq(wet.shape[1], 1 / 44_100)
        levels_db.append([10 * np.log10(power[part].sum()) for part in (hz < 13e3, hz > 15.5e3)])
    below_db, above_db = np.subtract(levels_db[1], levels_db[0])
    assert abs(below_db) < 0.2  # noise of four seconds
    assert above_db > 10.0


@pytest.mark.parametrize("t60", [0.0, 0.53, 61.0, math.nan])
def test_reverberation_time_out_of_range_raises(t60):
    with pytest.raises(SettingError, match="t60_s"):
        decay_for_t60(t60)


@pytest.mark.parametrize("size", [100, 4096, 30_000])
@pytest.mark.parametrize("rate_hz", [PLATE_RATE_HZ, 44_100])
@pytest.mark.parametrize("excursion_samples", [0.0, 8.0])
def test_blocks_of_any_size_join_to_the_plate_of_the_whole(size, rate_hz, excursion_samples):
    track = noise(2, 20_000)
    settings = {
        "predelay_ms": 25.0,
        "high_cut_hz": 5000.0,
        "excursion_samples": excursion_samples,
    }
    stream = PlateStream(rate_hz, **settings)
    heard = [stream.add(track[:, start : start + size]) for start in range(0, 20_000, size)]
    joined = np.concatenate([*heard, stream.finish()], axis=1)
    np.testing.assert_array_equal(joined, plate(track, rate_hz, **settings))


@pytest.mark.parametrize("n_samples", [0, 1, 441, 442, 2000])
def test_stream_gives_back_as_many_samples_as_it_heard(n_samples):
    stream = PlateStream(44_100, predelay_ms=10.0)
    heard = stream.add(noise(1, n_samples))
    assert heard.shape[1] + stream.finish().shape[1] == n_samples
    # Nothing before the predelay and the shortest tap of the tank.
    assert not heard[:, : 441 + 100].any()


@pytest.mark.parametrize("rate_hz", [PLATE_RATE_HZ, *RATES_HZ])
@pytest.mark.parametrize("predelay_ms", [0.0, 30.0])
def test_the_last_samples_are_those_of_a_plate_that_goes_on(rate_hz, predelay_ms):
    """Silence, or any other sound, after the end is not heard before it."""
    track = noise(n_samples=30_000)
    silence = np.zeros((1, 5_000), np.float32)
    longer = plate(np.concatenate([track, silence], axis=1), rate_hz, predelay_ms=predelay_ms)
    cut = plate(track, rate_hz, predelay_ms=predelay_ms)
    np.testing.assert_allclose(cut, longer[:, : track.shape[1]], atol=5e-7)
