import math

import numpy as np
import pytest
from scipy.signal import sosfilt

from drummix.effects.eq import (
    BAND_KINDS,
    Band,
    Equaliser,
    butterworth,
    equalise,
    response_db,
    sos,
)
from drummix.errors import SettingError
from drummix.levels import gain_to_db

RATES_HZ = [44_100, 48_000, 96_000]


def noise(n_channels: int, n_samples: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (0.1 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
@pytest.mark.parametrize("order", [2, 4, 8])
def test_butterworth_is_3_db_down_at_the_corner(rate_hz, kind, order):
    # The bilinear transform is warped to be exact at the corner.
    bands = butterworth(kind, 3000.0, order=order)
    assert response_db(bands, rate_hz, 3000.0) == pytest.approx(-10 * math.log10(2), abs=1e-9)


def test_one_default_pass_band_is_the_second_order_butterworth():
    assert butterworth("low_pass", 500.0, order=2)[0].q == pytest.approx(Band("low_pass", 500).q)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_high_pass_falls_by_6_db_an_octave_for_each_order(order):
    bands = butterworth("high_pass", 8000.0, order=order)
    upper, lower = response_db(bands, 48_000, [100.0, 50.0])
    # More than six octaves below the corner the asymptote is reached.
    assert upper - lower == pytest.approx(order * 20 * math.log10(2), abs=1e-3)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("gain_db", [-12.0, 4.5])
@pytest.mark.parametrize("q", [0.5, 4.0])
def test_peak_has_its_gain_at_its_centre_and_none_far_away(rate_hz, gain_db, q):
    band = Band("peak", 1000.0, gain_db=gain_db, q=q)
    centre, bottom, top = response_db([band], rate_hz, [1000.0, 0.0, rate_hz / 2])
    assert centre == pytest.approx(gain_db, abs=1e-9)
    assert bottom == pytest.approx(0.0, abs=1e-9)
    assert top == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("kind", ["low_shelf", "high_shelf"])
@pytest.mark.parametrize("gain_db", [-9.0, 6.0])
def test_shelf_has_half_its_gain_at_its_midpoint_and_all_of_it_at_its_end(rate_hz, kind, gain_db):
    band = Band(kind, 2000.0, gain_db=gain_db)
    bottom, middle, top = response_db([band], rate_hz, [0.0, 2000.0, rate_hz / 2])
    shelf, flat = (bottom, top) if kind == "low_shelf" else (top, bottom)
    assert middle == pytest.approx(gain_db / 2, abs=1e-9)
    assert shelf == pytest.approx(gain_db, abs=1e-9)
    assert flat == pytest.approx(0.0, abs=1e-9)


def test_peak_width_at_half_gain_is_the_q_of_the_cookbook():
    # f0 / bandwidth = q between the points of half the gain in dB, where warping is small.
    band = Band("peak", 500.0, gain_db=12.0, q=5.0)
    frequencies_hz = np.linspace(300, 800, 50_001)
    above_half = frequencies_hz[response_db([band], 384_000, frequencies_hz) >= 6.0]
    # The cookbook's bandwidth is in octaves: 1/q = 2 sinh(ln 2 / 2 * octaves).
    octaves = math.log2(above_half[-1] / above_half[0])
    assert 1 / (2 * math.sinh(math.log(2) / 2 * octaves)) == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("kind", ["peak", "low_shelf", "high_shelf"])
def test_gain_then_inverse_gain_is_identity(rate_hz, kind):
    track = noise(2, 4096)
    up = equalise(track, rate_hz, [Band(kind, 900.0, gain_db=9.0, q=1.2)])
    back = equalise(up, rate_hz, [Band(kind, 900.0, gain_db=-9.0, q=1.2)])
    # The way through float32 rounds each sample to 6e-8 of a signal below 1.5.
    np.testing.assert_allclose(back, track, atol=1e-6)


@pytest.mark.parametrize("kind", BAND_KINDS)
def test_spectrum_of_the_impulse_response_is_response_db(kind):
    gain_db = 0.0 if kind.endswith("pass") else 6.0
    bands = [Band(kind, 4000.0, gain_db=gain_db, q=1.0)]
    impulse = np.zeros((1, 8192), dtype=np.float32)
    impulse[0, 0] = 1.0
    spectrum_db = gain_to_db(np.abs(np.fft.rfft(equalise(impulse, 48_000, bands)[0])))
    frequencies_hz = np.fft.rfftfreq(8192, 1 / 48_000)
    expected_db = response_db(bands, 48_000, frequencies_hz)
    audible = expected_db > -60  # below it float32 rounding of the impulse response shows
    np.testing.assert_allclose(spectrum_db[audible], expected_db[audible], atol=2e-3)


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_channels_are_filtered_alike_and_apart(n_channels):
    track = noise(n_channels, 1000)
    bands = [Band("peak", 900.0, gain_db=9.0), Band("high_pass", 40.0)]
    together = equalise(track, 44_100, bands)
    apart = np.concatenate([equalise(track[[c]], 44_100, bands) for c in range(n_channels)])
    np.testing.assert_array_equal(together, apart)


def test_the_start_does_not_depend_on_what_follows():
    track, bands = noise(2, 3000), [Band("low_shelf", 200.0, gain_db=5.0)]
    whole = equalise(track, 44_100, bands)
    np.testing.assert_array_equal(equalise(track[:, :1234], 44_100, bands), whole[:, :1234])


def test_no_bands_and_zero_gain_leave_the_track_alone():
    track = noise(2, 500)
    np.testing.assert_array_equal(equalise(track, 44_100, []), track)
    flat = equalise(track, 44_100, [Band("peak", 1000.0), Band("high_shelf", 5000.0)])
    np.testing.assert_allclose(flat, track, atol=1e-8)


@pytest.mark.parametrize(
    "changed",
    [
        Band("low_shelf", 1000.0, gain_db=6.0, q=1.0),
        Band("peak", 1100.0, gain_db=6.0, q=1.0),
        Band("peak", 1000.0, gain_db=5.0, q=1.0),
        Band("peak", 1000.0, gain_db=6.0, q=1.1),
    ],
)
def test_every_setting_of_a_band_changes_the_result(changed):
    track = noise(1, 2000)
    before = equalise(track, 44_100, [Band("peak", 1000.0, gain_db=6.0, q=1.0)])
    after = equalise(track, 44_100, [changed])
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("notch", {}),
        ("peak", {"frequency_hz": 0.0}),
        ("peak", {"frequency_hz": -5.0}),
        ("peak", {"frequency_hz": "1k"}),
        ("peak", {"q": 0.0}),
        ("peak", {"gain_db": 61.0}),
        ("peak", {"gain_db": math.nan}),
        ("low_pass", {"gain_db": 3.0}),
    ],
)
def test_band_out_of_range_raises_setting_error(kind, settings):
    with pytest.raises(SettingError):
        Band(kind, **{"frequency_hz": 1000.0, **settings})


@pytest.mark.parametrize("order", [0, 3, 18])
def test_butterworth_of_an_odd_or_extreme_order_raises(order):
    with pytest.raises(SettingError, match="order"):
        butterworth("low_pass", 1000.0, order=order)


def test_butterworth_of_a_shelf_raises():
    with pytest.raises(SettingError, match="low_shelf"):
        butterworth("low_shelf", 1000.0, order=2)


def test_frequency_above_half_the_rate_names_both():
    with pytest.raises(SettingError, match=r"low_pass, which does not fit a rate of 44100 Hz"):
        sos([Band("low_pass", 24_000.0)], 44_100)


@pytest.mark.parametrize("rate_hz", [0, -1, 44_100.5, math.inf])
def test_impossible_rate_raises(rate_hz):
    with pytest.raises(SettingError, match="rate_hz"):
        equalise(np.zeros((1, 8)), rate_hz, [])


@pytest.mark.parametrize("shape", [(8,), (0, 8), (1, 2, 8)])
def test_samples_of_another_shape_raise(shape):
    with pytest.raises(SettingError, match="shape"):
        equalise(np.zeros(shape), 44_100, [])


def _bands_and_noise(n_bands, n_channels):
    bands = [Band("peak", 100.0 * 2**n, gain_db=6.0, q=1.0 + n) for n in range(n_bands)]
    rng = np.random.default_rng(7)
    return bands, rng.uniform(-1, 1, (n_channels, 3000)).astype(np.float32)


@pytest.mark.parametrize("n_bands", [1, 2, 3, 5])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_is_scipys_cascade_of_biquads_to_the_bit(n_bands, n_channels):
    bands, track = _bands_and_noise(n_bands, n_channels)
    expected = sosfilt(sos(bands, 44_100), track.astype(np.float64), axis=1)
    np.testing.assert_array_equal(equalise(track, 44_100, bands), expected.astype(np.float32))


@pytest.mark.parametrize("size", [1, 511, 1000])
@pytest.mark.parametrize("n_bands", [0, 1, 3])
def test_blocks_of_any_size_are_filtered_as_the_whole(size, n_bands):
    bands, track = _bands_and_noise(n_bands, 2)
    equaliser = Equaliser(44_100, bands, n_channels=2)
    blocks = [equaliser.add(track[:, start : start + size]) for start in range(0, 3000, size)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), equalise(track, 44_100, bands))


@pytest.mark.parametrize(
    ("band", "at_44100_db", "at_96000_db"),
    [
        (Band("low_pass", 7000.0), 9.6, 1.4),
        (Band("peak", 8000.0, gain_db=6.0, q=2.0), 0.9, 0.2),
        (Band("high_shelf", 8000.0, gain_db=6.0), 0.5, 0.1),
        (Band("peak", 3000.0, gain_db=6.0, q=1.0), 0.2, 0.05),
    ],
)
def test_a_band_leaves_its_analogue_curve_towards_half_the_rate_by_what_the_docs_say(
    band, at_44100_db, at_96000_db
):
    frequencies_hz = np.geomspace(20.0, 16_000.0, 400)
    s, q = 1j * frequencies_hz / band.frequency_hz, band.q
    root = 10 ** (band.gain_db / 40)
    analogue = {
        "low_pass": 1 / (s * s + s / q + 1),
        "peak": (s * s + s * root / q + 1) / (s * s + s / root / q + 1),
        "high_shelf": root
        * (root * s * s + np.sqrt(root) / q * s + 1)
        / (s * s + np.sqrt(root) / q * s + root),
    }[band.kind]
    for rate_hz, told_db in ((44_100, at_44100_db), (96_000, at_96000_db)):
        made_db = response_db([band], rate_hz, frequencies_hz)
        found_db = np.abs(made_db - 20 * np.log10(np.abs(analogue))).max()
        assert found_db == pytest.approx(told_db, abs=0.06)
