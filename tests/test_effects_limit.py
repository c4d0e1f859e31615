import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from drummix.effects.dynamics import limit
from drummix.errors import SettingError
from drummix.levels import db_to_gain

RATES_HZ = [44_100, 48_000, 96_000]


def drums(n_samples: int = 20_000) -> np.ndarray:
    """Stereo decaying noise that peaks near +6 dBFS."""
    rng = np.random.default_rng(5)
    decay = np.exp(-(np.arange(n_samples) % 5000) / 500)
    return (2.0 * decay * rng.uniform(-1, 1, (2, n_samples))).astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(
    samples=npst.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(0, 400)),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
    ceiling_db=st.floats(-60, 6),
    release_ms=st.floats(0, 500),
    lookahead_ms=st.floats(0, 10),
)
def test_no_sample_ever_exceeds_the_ceiling(samples, ceiling_db, release_ms, lookahead_ms):
    limited = limit(
        samples, 44_100, ceiling_db=ceiling_db, release_ms=release_ms, lookahead_ms=lookahead_ms
    )
    assert limited.shape == samples.shape
    assert np.abs(limited.astype(np.float64)).max(initial=0.0) <= db_to_gain(ceiling_db)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("lookahead_ms", [0.0, 0.5, 3.0])
def test_the_gain_alone_keeps_the_ceiling_so_both_channels_keep_their_ratio(rate_hz, lookahead_ms):
    limited = limit(drums(), rate_hz, ceiling_db=-3.0, lookahead_ms=lookahead_ms)
    heard = np.abs(drums()).min(axis=0) > 1e-3
    gains = limited[:, heard] / drums()[:, heard]
    # A clipped sample would break the ratio by far more than float32 rounding.
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-5)
    assert gains.max() <= 1.0


def test_a_track_below_the_ceiling_is_untouched_bit_for_bit():
    quiet = drums() * np.float32(0.25)
    np.testing.assert_array_equal(limit(quiet, 44_100, ceiling_db=-6.0), quiet)


@pytest.mark.parametrize("lookahead_ms", [0.0, 1.0, 5.0])
def test_a_lone_peak_stays_in_place_and_lands_on_the_ceiling(lookahead_ms):
    track = np.full((1, 4000), 0.01, dtype=np.float32)
    track[0, 2000] = 4.0
    limited = limit(track, 44_100, ceiling_db=-1.0, lookahead_ms=lookahead_ms)
    assert int(np.abs(limited).argmax()) == 2000
    assert limited[0, 2000] == pytest.approx(db_to_gain(-1.0), rel=1e-6)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("lookahead_ms", [1.0, 4.0])
def test_the_gain_begins_to_fall_one_lookahead_before_the_peak_in_a_straight_line(
    rate_hz, lookahead_ms
):
    track = np.full((1, rate_hz // 10), 0.01, dtype=np.float32)
    peak_at = rate_hz // 20
    track[0, peak_at] = 2.0
    gain = (
        limit(track, rate_hz, ceiling_db=0.0, release_ms=1e4, lookahead_ms=lookahead_ms) / track
    )[0]
    n_lookahead = round(lookahead_ms * rate_hz / 1000)
    before = gain[: peak_at - n_lookahead]
    np.testing.assert_array_equal(before, 1.0)
    fall = np.diff(gain[peak_at - n_lookahead - 1 : peak_at + 1].astype(np.float64))
    # The gain needed at the peak is a half. Its slow release leans on the line a little.
    np.testing.assert_allclose(fall, -0.5 / (n_lookahead + 1), rtol=0.02)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("release_ms", [20.0, 100.0])
def test_release_does_63_percent_of_the_way_back_in_its_time(rate_hz, release_ms):
    track = np.full((1, rate_hz), 0.01, dtype=np.float32)
    track[0, :1000] = 2.0
    limited = limit(track, rate_hz, ceiling_db=0.0, release_ms=release_ms, lookahead_ms=0.0)
    gain = (limited / track)[0]
    recovered = (gain[999 + round(release_ms * rate_hz / 1000)] - 0.5) / 0.5
    assert recovered == pytest.approx(1 - math.exp(-1), abs=1e-3)


@pytest.mark.parametrize(
    "changed", [{"ceiling_db": -4.0}, {"release_ms": 20.0}, {"lookahead_ms": 5.0}]
)
def test_every_setting_changes_the_result(changed):
    before = limit(drums(), 44_100, ceiling_db=-3.0)
    after = limit(drums(), 44_100, **{"ceiling_db": -3.0, **changed})
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ceiling_db", 61.0),
        ("ceiling_db", math.nan),
        ("release_ms", -1.0),
        ("lookahead_ms", -1.0),
    ],
)
def test_setting_out_of_range_raises(setting, value):
    with pytest.raises(SettingError, match=setting):
        limit(drums(), 44_100, **{"ceiling_db": -1.0, setting: value})
