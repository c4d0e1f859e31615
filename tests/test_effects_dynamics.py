import math

import numpy as np
import pytest

from drummix.effects.compressor import CompressorGain
from drummix.effects.dynamics import (
    compress,
    compressor_gain_db,
    gate,
    gate_from_hits,
    parallel_compress,
)
from drummix.errors import SettingError
from drummix.levels import db_to_gain, gain_to_db

RATES_HZ = [44_100, 48_000, 96_000]
ONE_TIME_CONSTANT = 1 - math.exp(-1)

COMPRESSOR = {
    "threshold_db": -30.0,
    "ratio": 4.0,
    "attack_ms": 5.0,
    "release_ms": 60.0,
    "knee_db": 6.0,
    "makeup_db": 0.0,
    "link": True,
}
GATE = {
    "threshold_db": -20.0,
    "range_db": 40.0,
    "attack_ms": 0.5,
    "hold_ms": 5.0,
    "release_ms": 40.0,
}
HIT_GATE = {
    "onsets": [2000, 6000],
    "hold_ms": 20.0,
    "release_ms": 40.0,
    "range_db": 40.0,
    "attack_ms": 0.2,
    "lookahead_ms": 1.0,
}


def steps(*levels_and_lengths: tuple[float, int]) -> np.ndarray:
    """Mono track of constant levels; its rectified level is its level."""
    return np.concatenate([np.full(n, level, dtype=np.float32) for level, n in levels_and_lengths])[
        np.newaxis
    ]


def hits(n_channels: int = 2, n_samples: int = 20_000) -> np.ndarray:
    """Decaying noise every 4,000 samples, each channel with its own level."""
    rng = np.random.default_rng(11)
    decay = np.exp(-(np.arange(n_samples) % 4000) / 600)
    levels = 0.5 ** np.arange(n_channels)[:, np.newaxis]
    return (levels * decay * rng.uniform(-1, 1, (n_channels, n_samples))).astype(np.float32)


def gain_db_of(processed: np.ndarray, track: np.ndarray) -> np.ndarray:
    return gain_to_db((processed / track)[0].astype(np.float64))


class TestStaticCurve:
    @pytest.mark.parametrize("ratio", [1.5, 4.0, 20.0])
    @pytest.mark.parametrize("knee_db", [0.0, 6.0])
    def test_above_threshold_one_db_in_gives_one_over_ratio_db_out(self, ratio, knee_db):
        level_db = np.array([-15.0, -14.0])
        out_db = level_db + compressor_gain_db(
            level_db, threshold_db=-20.0, ratio=ratio, knee_db=knee_db
        )
        assert out_db[1] - out_db[0] == pytest.approx(1 / ratio, abs=1e-12)
        assert out_db[0] == pytest.approx(-20.0 + 5.0 / ratio, abs=1e-12)

    def test_below_the_knee_nothing_changes(self):
        gain_db = compressor_gain_db([-120.0, -40.0, -23.0], threshold_db=-20, ratio=8, knee_db=6)
        np.testing.assert_array_equal(gain_db, 0.0)

    def test_at_the_threshold_a_soft_knee_is_an_eighth_of_its_width_down(self):
        # Giannoulis eq. 4 at x = T: (1/R - 1) W / 8.
        gain_db = compressor_gain_db([-20.0], threshold_db=-20.0, ratio=4.0, knee_db=10.0)
        assert gain_db[0] == pytest.approx((1 / 4 - 1) * 10 / 8, abs=1e-12)

    def test_curve_and_slope_are_continuous_through_the_knee(self):
        level_db = np.arange(-40.0, 0.0, 1e-3)
        out_db = level_db + compressor_gain_db(level_db, threshold_db=-20, ratio=5, knee_db=12)
        slope = np.diff(out_db) / 1e-3
        assert np.abs(np.diff(slope)).max() < 1e-3 * (1 - 1 / 5) / 12 * 1.01
        assert slope[0] == pytest.approx(1.0)
        assert slope[-1] == pytest.approx(1 / 5)

    def test_ratio_one_is_silent_gain(self):
        np.testing.assert_array_equal(
            compressor_gain_db(np.linspace(-60, 0, 50), threshold_db=-50, ratio=1.0), 0.0
        )


class TestCompress:
    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    def test_settles_on_the_static_curve(self, rate_hz):
        track = steps((0.5, rate_hz // 4))
        settled_db = gain_db_of(compress(track, rate_hz, **COMPRESSOR), track)[-1]
        expected_db = compressor_gain_db([gain_to_db(0.5)], threshold_db=-30, ratio=4, knee_db=6)
        # 50 time constants have passed; float32 rounding of the output is 5e-7 dB.
        assert settled_db == pytest.approx(expected_db[0], abs=2e-6)

    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    @pytest.mark.parametrize("attack_ms", [1.0, 20.0])
    def test_attack_does_63_percent_of_the_gain_change_in_its_time(self, rate_hz, attack_ms):
        track = steps((0.5, rate_hz))
        gain_db = gain_db_of(
            compress(track, rate_hz, **{**COMPRESSOR, "attack_ms": attack_ms}), track
        )
        n_attack = round(attack_ms * rate_hz / 1000)
        # Half a sample of rounding at 1 ms and 44.1 kHz is 1% of a time constant.
        assert gain_db[n_attack - 1] / gain_db[-1] == pytest.approx(ONE_TIME_CONSTANT, abs=0.004)

    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    @pytest.mark.parametrize("release_ms", [10.0, 80.0])
    def test_release_does_63_percent_of_the_way_back_in_its_time(self, rate_hz, release_ms):
        track = steps((0.5, rate_hz // 2), (0.001, rate_hz))
        gain_db = gain_db_of(
            compress(track, rate_hz, **{**COMPRESSOR, "release_ms": release_ms}), track
        )
        start, n_release = rate_hz // 2, round(release_ms * rate_hz / 1000)
        recovered = 1 - gain_db[start + n_release - 1] / gain_db[start - 1]
        assert recovered == pytest.approx(ONE_TIME_CONSTANT, abs=0.002)

    def test_zero_attack_and_release_follow_the_static_curve_sample_by_sample(self):
        track = hits(1)
        processed = compress(track, 44_100, **{**COMPRESSOR, "attack_ms": 0.0, "release_ms": 0.0})
        static_db = compressor_gain_db(
            gain_to_db(np.abs(track)), threshold_db=-30.0, ratio=4.0, knee_db=6.0
        )
        np.testing.assert_allclose(processed, track * db_to_gain(static_db), rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("knee_db", [0.0, 6.0, 30.0])
    @pytest.mark.parametrize(("attack_ms", "release_ms"), [(5.0, 60.0), (80.0, 2.0)])
    def test_is_the_static_curve_smoothed_and_back_to_linear(self, knee_db, attack_ms, release_ms):
        # From far below full scale to far above; written out as in the paper, sample by sample.
        level_db = np.random.default_rng(5).uniform(-140, 40, 3000)
        track = db_to_gain(level_db).astype(np.float32)[np.newaxis]
        static_db = compressor_gain_db(
            gain_to_db(track[0]), threshold_db=-30, ratio=4, knee_db=knee_db
        )
        attack, release = (math.exp(-1000 / (ms * 44_100)) for ms in (attack_ms, release_ms))
        gain_db, state_db = np.zeros_like(static_db), 0.0
        for n, target_db in enumerate(static_db):
            coefficient = attack if target_db < state_db else release
            gain_db[n] = state_db = target_db + coefficient * (state_db - target_db)
        times = {"attack_ms": attack_ms, "release_ms": release_ms, "knee_db": knee_db}
        processed = compress(track, 44_100, **{**COMPRESSOR, **times, "makeup_db": 5.0})
        # Two roundings to float32, each of 6e-8, and 1e-8 for either series.
        np.testing.assert_allclose(processed[0] / track[0], db_to_gain(gain_db + 5.0), rtol=2e-7)

    @pytest.mark.parametrize("size", [1, 500, 513, 9999])
    def test_gain_in_blocks_of_any_size_is_the_gain_of_the_whole(self, size):
        settings = {key: value for key, value in COMPRESSOR.items() if key != "link"}
        track = hits(2)[:, :5000] if size == 1 else hits(2)
        compressor = CompressorGain(44_100, **settings)
        blocks = [track[:, start : start + size] for start in range(0, track.shape[1], size)]
        in_blocks = np.concatenate([block * compressor.add(block) for block in blocks], axis=1)
        np.testing.assert_array_equal(in_blocks, compress(track, 44_100, **COMPRESSOR))

    def test_ratio_one_is_identity(self):
        np.testing.assert_array_equal(
            compress(hits(), 44_100, **{**COMPRESSOR, "ratio": 1.0}), hits()
        )

    def test_makeup_is_plain_gain(self):
        without = compress(hits(), 44_100, **COMPRESSOR)
        louder = compress(hits(), 44_100, **{**COMPRESSOR, "makeup_db": 6.0})
        np.testing.assert_allclose(louder, without * db_to_gain(6.0), rtol=1e-6)

    def test_linked_channels_share_one_gain_that_the_louder_sets(self):
        track = hits(2)
        linked = compress(track, 44_100, **COMPRESSOR)
        by_the_louder = compress(track[:1], 44_100, **COMPRESSOR, sidechain=track)
        np.testing.assert_array_equal(linked[:1], by_the_louder)
        heard = np.abs(track).min(axis=0) > 1e-4
        gains = linked[:, heard] / track[:, heard]
        np.testing.assert_allclose(gains[0], gains[1], rtol=1e-6)

    def test_unlinked_channels_are_compressed_one_by_one(self):
        track, unlinked = hits(2), {**COMPRESSOR, "link": False}
        apart = [compress(track[[channel]], 44_100, **COMPRESSOR) for channel in range(2)]
        np.testing.assert_array_equal(compress(track, 44_100, **unlinked), np.concatenate(apart))

    def test_sidechain_ducks_a_steady_track(self):
        track = steps((0.1, 10_000))
        kick = steps((0.0, 5000), (1.0, 5000))
        gain_db = gain_db_of(compress(track, 44_100, **COMPRESSOR, sidechain=kick), track)
        np.testing.assert_allclose(gain_db[:5000], 0.0, atol=1e-6)
        assert gain_db[-1] == pytest.approx((1 / 4 - 1) * 30.0, abs=1e-4)

    def test_one_sidechain_channel_serves_all_unlinked_channels(self):
        track = np.repeat(steps((0.1, 2000)), 3, axis=0)
        processed = compress(
            track, 44_100, **{**COMPRESSOR, "link": False}, sidechain=steps((1.0, 2000))
        )
        assert processed.shape == (3, 2000)
        np.testing.assert_array_equal(processed[0], processed[2])

    def test_the_start_does_not_depend_on_what_follows(self):
        whole = compress(hits(), 44_100, **COMPRESSOR)
        np.testing.assert_array_equal(
            compress(hits()[:, :7777], 44_100, **COMPRESSOR), whole[:, :7777]
        )

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("threshold_db", -25.0),
            ("ratio", 5.0),
            ("attack_ms", 8.0),
            ("release_ms", 90.0),
            ("knee_db", 20.0),
            ("makeup_db", 1.0),
            ("link", False),
            ("sidechain", hits() * np.float32(2.0)),
        ],
    )
    def test_every_setting_changes_the_result(self, setting, value):
        before = compress(hits(), 44_100, **COMPRESSOR)
        after = compress(hits(), 44_100, **{**COMPRESSOR, setting: value})
        assert np.abs(after - before).max() > 1e-3

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("threshold_db", math.inf),
            ("ratio", 0.9),
            ("attack_ms", -1.0),
            ("release_ms", -1.0),
            ("knee_db", -1.0),
            ("makeup_db", 99.0),
            ("sidechain", np.zeros((1, 3))),
            ("sidechain", np.zeros(20_000)),
        ],
    )
    def test_setting_out_of_range_raises(self, setting, value):
        with pytest.raises(SettingError, match=setting):
            compress(hits(), 44_100, **{**COMPRESSOR, setting: value})

    def test_unlinked_sidechain_needs_one_or_as_many_channels(self):
        with pytest.raises(SettingError, match="3 channels but the track has 2"):
            compress(hits(2), 44_100, **{**COMPRESSOR, "link": False}, sidechain=hits(3))


class TestParallelCompress:
    @pytest.mark.parametrize("wet_share", [0.0, 0.25, 1.0])
    def test_is_the_weighted_sum_of_dry_and_compressed(self, wet_share):
        wet = compress(hits(), 44_100, **COMPRESSOR)
        blended = parallel_compress(hits(), 44_100, wet_share=wet_share, **COMPRESSOR)
        np.testing.assert_allclose(
            blended, (1 - wet_share) * hits() + wet_share * wet, rtol=0, atol=1e-7
        )

    @pytest.mark.parametrize("setting", ["threshold_db", "ratio", "attack_ms", "release_ms"])
    def test_every_compressor_setting_arrives(self, setting):
        before = parallel_compress(hits(), 44_100, wet_share=0.5, **COMPRESSOR)
        changed = {**COMPRESSOR, setting: COMPRESSOR[setting] + 3.0}
        after = parallel_compress(hits(), 44_100, wet_share=0.5, **changed)
        assert np.abs(after - before).max() > 1e-4

    @pytest.mark.parametrize(
        "changed",
        [{"knee_db": 20.0}, {"makeup_db": 1.0}, {"link": False}, {"sidechain": hits() * 2}],
    )
    def test_every_other_setting_arrives(self, changed):
        before = parallel_compress(hits(), 44_100, wet_share=0.5, **COMPRESSOR)
        after = parallel_compress(hits(), 44_100, wet_share=0.5, **{**COMPRESSOR, **changed})
        assert np.abs(after - before).max() > 1e-4

    @pytest.mark.parametrize("wet_share", [-0.1, 1.1, math.nan])
    def test_share_outside_0_to_1_raises(self, wet_share):
        with pytest.raises(SettingError, match="wet_share"):
            parallel_compress(hits(), 44_100, wet_share=wet_share, **COMPRESSOR)


class TestGate:
    @pytest.mark.parametrize("range_db", [0.0, 12.0, 60.0])
    def test_a_quiet_track_is_turned_down_by_the_range(self, range_db):
        track = steps((0.01, 3000))
        gain_db = gain_db_of(gate(track, 44_100, **{**GATE, "range_db": range_db}), track)
        np.testing.assert_allclose(gain_db, -range_db, atol=1e-5)

    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    def test_attack_and_release_do_63_percent_in_their_times(self, rate_hz):
        settings = {**GATE, "attack_ms": 5.0, "hold_ms": 10.0, "release_ms": 50.0}
        start, stop = rate_hz // 10, rate_hz // 4
        track = steps((0.01, start), (0.5, stop - start), (0.01, rate_hz))
        gain = (gate(track, rate_hz, **settings) / track)[0]
        floor = db_to_gain(-40.0)
        opened = (gain[start + round(0.005 * rate_hz) - 1] - floor) / (1 - floor)
        assert opened == pytest.approx(ONE_TIME_CONSTANT, abs=0.002)
        closing = stop + round(0.010 * rate_hz)
        assert gain[closing - 1] == pytest.approx(1.0, abs=1e-6)
        assert gain[closing] < 1.0
        closed = (1 - gain[closing + round(0.050 * rate_hz) - 1]) / (1 - floor)
        assert closed == pytest.approx(ONE_TIME_CONSTANT, abs=0.002)

    def test_a_track_at_the_threshold_passes_once_open(self):
        track = steps((0.5, 4000))
        processed = gate(track, 44_100, **{**GATE, "threshold_db": gain_to_db(0.5) - 1e-9})
        np.testing.assert_array_equal(processed[:, 1000:], track[:, 1000:])

    def test_hold_of_half_a_period_keeps_a_low_note_open(self):
        time_s = np.arange(44_100) / 44_100
        note = (0.5 * np.sin(2 * np.pi * 50 * time_s))[np.newaxis].astype(np.float32)
        settings = {**GATE, "attack_ms": 0.0, "hold_ms": 10.0}
        np.testing.assert_array_equal(
            gate(note, 44_100, **settings)[:, 1000:-1000], note[:, 1000:-1000]
        )

    def test_sidechain_opens_the_gate_of_a_quiet_track(self):
        track = steps((0.01, 4000))
        opened = gate(track, 44_100, **GATE, sidechain=steps((0.5, 4000)))
        np.testing.assert_allclose(opened[:, 1000:], track[:, 1000:], rtol=1e-6)

    def test_the_start_does_not_depend_on_what_follows(self):
        whole = gate(hits(), 44_100, **GATE)
        np.testing.assert_array_equal(gate(hits()[:, :9999], 44_100, **GATE), whole[:, :9999])

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("threshold_db", -6.0),
            ("range_db", 20.0),
            ("attack_ms", 2.0),
            ("hold_ms", 0.0),
            ("release_ms", 20.0),
            ("sidechain", hits()[:, ::-1]),
        ],
    )
    def test_every_setting_changes_the_result(self, setting, value):
        before = gate(hits(), 44_100, **GATE)
        after = gate(hits(), 44_100, **{**GATE, setting: value})
        assert np.abs(after - before).max() > 1e-3

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("threshold_db", -500.0),
            ("range_db", -1.0),
            ("attack_ms", -1.0),
            ("hold_ms", -1.0),
            ("release_ms", math.nan),
            ("sidechain", np.zeros((2, 5))),
        ],
    )
    def test_setting_out_of_range_raises(self, setting, value):
        with pytest.raises(SettingError, match=setting):
            gate(hits(), 44_100, **{**GATE, setting: value})


class TestGateFromHits:
    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    def test_is_open_at_the_onset_and_through_the_hold(self, rate_hz):
        track = steps((0.25, rate_hz))
        onset, n_hold = rate_hz // 2, round(0.020 * rate_hz)
        gain = (gate_from_hits(track, rate_hz, **{**HIT_GATE, "onsets": [onset]}) / track)[0]
        # One lookahead is five attack times: 1 - exp(-5) of the way.
        assert gain[onset] > 0.993
        np.testing.assert_allclose(gain[onset + rate_hz // 500 : onset + n_hold], 1.0, atol=1e-4)

    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    def test_release_does_63_percent_in_its_time_after_the_hold(self, rate_hz):
        track = steps((0.25, rate_hz))
        gain = (gate_from_hits(track, rate_hz, **{**HIT_GATE, "onsets": [1000]}) / track)[0]
        floor = db_to_gain(-40.0)
        at = 1000 + round(0.020 * rate_hz) + round(0.040 * rate_hz)
        assert (1 - gain[at]) / (1 - floor) == pytest.approx(ONE_TIME_CONSTANT, abs=0.002)

    def test_far_from_any_hit_the_track_is_down_by_the_range(self):
        track = steps((0.25, 44_100))
        gain_db = gain_db_of(gate_from_hits(track, 44_100, **HIT_GATE), track)
        np.testing.assert_allclose(gain_db[:1900], -40.0, atol=1e-4)
        assert gain_db[-1] == pytest.approx(-40.0, abs=1e-3)

    def test_no_hits_at_all_leave_the_gate_closed(self):
        track = steps((0.25, 1000))
        gain_db = gain_db_of(gate_from_hits(track, 44_100, **{**HIT_GATE, "onsets": []}), track)
        np.testing.assert_allclose(gain_db, -40.0, atol=1e-4)

    def test_order_of_onsets_and_repeats_do_not_matter(self):
        ordered = gate_from_hits(hits(), 44_100, **HIT_GATE)
        shuffled = {**HIT_GATE, "onsets": np.array([6000, 2000, 2000])}
        np.testing.assert_array_equal(gate_from_hits(hits(), 44_100, **shuffled), ordered)

    def test_overlapping_hits_never_close_between(self):
        track = steps((0.25, 10_000))
        onsets = np.arange(1000, 9000, 800)  # 18 ms apart, held for 20 ms
        gain = (gate_from_hits(track, 44_100, **{**HIT_GATE, "onsets": onsets}) / track)[0]
        np.testing.assert_allclose(gain[1100:9000], 1.0, atol=1e-4)

    def test_a_hit_before_the_track_still_opens_its_start(self):
        track = steps((0.25, 2000))
        gain = (gate_from_hits(track, 44_100, **{**HIT_GATE, "onsets": [-100]}) / track)[0]
        assert gain[500] == pytest.approx(1.0, abs=1e-4)

    def test_a_hit_after_the_track_changes_nothing(self):
        closed = gate_from_hits(hits(), 44_100, **{**HIT_GATE, "onsets": []})
        later = gate_from_hits(hits(), 44_100, **{**HIT_GATE, "onsets": [10**9]})
        np.testing.assert_array_equal(later, closed)

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("onsets", [2000]),
            ("hold_ms", 10.0),
            ("release_ms", 20.0),
            ("range_db", 20.0),
            ("attack_ms", 1.0),
            ("lookahead_ms", 0.0),
        ],
    )
    def test_every_setting_changes_the_result(self, setting, value):
        before = gate_from_hits(hits(), 44_100, **HIT_GATE)
        after = gate_from_hits(hits(), 44_100, **{**HIT_GATE, setting: value})
        assert np.abs(after - before).max() > 1e-3

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("onsets", [0.5]),
            ("onsets", [[1, 2]]),
            ("onsets", "soon"),
            ("hold_ms", -1.0),
            ("release_ms", -1.0),
            ("range_db", 130.0),
            ("attack_ms", math.nan),
            ("lookahead_ms", -1.0),
        ],
    )
    def test_setting_out_of_range_raises(self, setting, value):
        with pytest.raises(SettingError, match=setting):
            gate_from_hits(hits(), 44_100, **{**HIT_GATE, setting: value})
