"""Gain staging: one level for every microphone, whatever its preamp did."""

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.signal import lfilter

from drummix.audio import resample
from drummix.errors import SettingError
from drummix.gain_staging import (
    BLEED_LEVEL_DB,
    MAX_GAIN_DB,
    REFERENCE_LEVELS_DBFS,
    GainStaging,
    _non_negative_weights,
    staged_gains,
)
from drummix.levels import gain_to_db
from drummix.levels.frame_peaks import _half_kernel
from drummix.roles import LEFT_OUT_ROLES, PAPER_ROLES, Role

RATE_HZ = 44_100


def strokes(times_s, levels=None, length_s=4.0, pitch_hz=200.0, rate_hz=RATE_HZ):
    """Decaying sines, each starting at its peak: (N,) float32."""
    samples = np.zeros(round(length_s * rate_hz))
    time_s = np.arange(len(samples)) / rate_hz
    for start_s, level in zip(times_s, levels or [1.0] * len(times_s), strict=True):
        since = time_s - start_s
        samples += np.where(
            since >= 0,
            level * np.exp(-20 * np.maximum(since, 0)) * np.cos(2 * np.pi * pitch_hz * since),
            0,
        )
    return samples.astype(np.float32)


def kit(snare_times_s=(0.5, 1.5, 2.5), tom_times_s=(1.0, 3.0), bleed=0.03):
    """Snare, mid tom with the snare's bleed, left overhead with both."""
    snare, tom = strokes(snare_times_s), strokes(tom_times_s, pitch_hz=120.0)
    stems = np.stack([0.5 * snare, 0.4 * tom + bleed * snare, 0.1 * snare + 0.1 * tom])
    return stems.astype(np.float32), (Role.SNARE, Role.TOM_MID, Role.OVERHEAD_LEFT)


def staged(stems, roles, rate_hz=RATE_HZ):
    staging = GainStaging(roles, rate_hz)
    staging.add(stems)
    return staging.stems()


@pytest.mark.parametrize("changed_db", [-12.0, -6.0, 6.0, 12.0])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_louder_stem_gets_just_that_much_less_gain_and_the_others_what_they_had(row, changed_db):
    stems, roles = kit()
    before = [stem.gain_db for stem in staged(stems, roles)]
    changed = stems.copy()
    changed[row] *= np.float32(10 ** (changed_db / 20))
    after = [stem.gain_db for stem in staged(changed, roles)]
    before[row] -= changed_db
    assert after == pytest.approx(before, abs=1e-4)


def test_staged_stems_need_no_further_gain():
    stems, roles = kit()
    gains = staged_gains(stems, roles, RATE_HZ)
    again = staged_gains(gains[:, np.newaxis] * stems, roles, RATE_HZ)
    np.testing.assert_allclose(again, 1.0, atol=1e-5)


@pytest.mark.parametrize("block", [1, 440, 441, 5000])
def test_gains_do_not_depend_on_the_block_size(block):
    stems, roles = kit()
    stems = stems[:, : 5000 if block == 1 else None]
    staging = GainStaging(roles, RATE_HZ)
    for start in range(0, stems.shape[1], block):
        staging.add(stems[:, start : start + block])
    for one, other in zip(staging.stems(), staged(stems, roles), strict=True):
        assert one.gain_db == pytest.approx(other.gain_db, abs=1e-9)


def bright_kit(seconds=6.0):
    """Strokes of noise up to half the rate, as wires and cymbals make, in three microphones."""
    rng = np.random.default_rng(0)
    length = round(seconds * RATE_HZ)
    time_s = np.arange(length) / RATE_HZ
    stems = np.zeros((3, length))
    for beat_s in np.arange(0.1, seconds - 0.5, 0.25):
        since = np.maximum(time_s - beat_s - rng.uniform(0, 0.02), 0.0)
        decay = np.where(since > 0, np.exp(-30 * since), 0.0) * rng.uniform(0.2, 0.5)
        stems += decay * rng.standard_normal((3, length))
    return (0.4 * stems).astype(np.float32), (Role.SNARE, Role.HIHAT, Role.OVERHEAD_LEFT)


def gains_db(stems, roles, rate_hz=RATE_HZ):
    return np.array([stem.gain_db for stem in staged(stems, roles, rate_hz)])


@pytest.mark.parametrize("rate_hz", [48_000, 88_200, 96_000, 192_000])
def test_gains_of_a_session_at_another_rate_are_the_same_to_a_tenth_of_a_decibel(rate_hz):
    """The peaks of its samples are not: they moved a hi-hat by 0.5 dB."""
    stems, roles = bright_kit()
    other = resample(stems, RATE_HZ, rate_hz)
    np.testing.assert_allclose(gains_db(other, roles, rate_hz), gains_db(stems, roles), atol=0.1)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize("silence", [(30, 0), (0, 30)])
def test_silence_before_or_behind_changes_no_gain(silence, rate_hz):
    stems, roles = bright_kit()
    stems = resample(stems, RATE_HZ, rate_hz)
    longer = np.pad(stems, ((0, 0), tuple(seconds * rate_hz for seconds in silence)))
    np.testing.assert_allclose(
        gains_db(longer, roles, rate_hz), gains_db(stems, roles, rate_hz), atol=1e-4
    )


@pytest.mark.parametrize("n_samples", [1, 10, 100, 220, 300])
def test_it_does_not_matter_where_the_first_frame_begins(n_samples):
    stems, roles = bright_kit()
    later = np.pad(stems, ((0, 0), (n_samples, 0)))
    np.testing.assert_allclose(gains_db(later, roles), gains_db(stems, roles), atol=0.05)


def test_a_constant_level_is_brought_to_the_reference_level_of_its_role():
    """Every 10 ms of this sine peak at its amplitude, so that is its level by any mean."""
    sine = 0.1 * np.sin(2 * np.pi * np.arange(44_100) / 40)[np.newaxis].astype(np.float32)
    for role, reference_dbfs in REFERENCE_LEVELS_DBFS.items():
        [stem] = staged(sine, [role])
        # The ends, where a frame is half empty, and the ripple of the filter at 20 kHz.
        assert stem.level_dbfs == pytest.approx(-20.0, abs=0.05)
        assert stem.gain_db == pytest.approx(reference_dbfs - stem.level_dbfs, abs=1e-9)


def test_the_level_is_the_self_weighted_mean_of_the_peaks_of_overlapping_frames():
    """Computed another way: every frame by itself, from samples filtered by scipy."""
    stems, roles = bright_kit(2.0)
    half = _half_kernel().astype(np.float64)
    first = int(np.argmax(stems.any(axis=0)))
    padded = np.pad(stems[:, first:], ((0, 0), (420, 900)))
    filtered = lfilter(np.concatenate([half[:0:-1], half]), 1.0, padded)
    starts = range(0, filtered.shape[1] - 441, 21)
    peaks = np.array([np.abs(filtered[:, at : at + 441]).max(axis=1) for at in starts]).T
    for stem, row in zip(staged(stems, roles), peaks, strict=True):
        high, low = (2, 1) if stem.role is Role.OVERHEAD_LEFT else (6, 4)
        level = ((row**high).sum() / (row**low).sum()) ** (1 / (high - low))
        assert stem.level_dbfs == pytest.approx(20 * np.log10(level), abs=1e-3)


def test_the_filter_of_the_frames_passes_what_every_rate_from_44_1_khz_has_and_no_more():
    half = _half_kernel().astype(np.float64)
    hz = np.array([0.0, 1_000.0, 10_000.0, 19_000.0, 21_500.0, 22_050.0])
    response = half[0] + 2 * np.cos(2 * np.pi * np.outer(hz, np.arange(1, 16)) / 44_100) @ half[1:]
    level_db = 20 * np.log10(np.abs(response))
    np.testing.assert_allclose(level_db[:4], 0.0, atol=0.1)
    assert level_db[4:].max() < -20.0


def test_two_strokes_in_a_minute_count_as_much_as_fifty():
    few = strokes([1.0, 2.0], length_s=60.0)
    many = strokes(np.arange(1, 51), length_s=60.0)
    levels = [staged(x[np.newaxis], [Role.TOM_LOW])[0].level_dbfs for x in (few, many)]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)


def test_ghost_notes_hardly_lower_the_level():
    loud = strokes([1.0, 2.0, 3.0])
    with_ghosts = loud + strokes([0.5, 1.25, 1.5, 1.75, 2.5, 2.75], [0.1] * 6)
    levels = [staged(x[np.newaxis], [Role.SNARE])[0].level_dbfs for x in (loud, with_ghosts)]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)


def test_a_tom_that_is_never_struck_stays_below_one_that_is():
    stems, roles = kit(tom_times_s=())
    struck, _ = kit()
    assert [stem.is_bleed for stem in staged(stems, roles)] == [False, True, False]
    assert not any(stem.is_bleed for stem in staged(struck, roles))
    tom = staged(stems, roles)[1]
    assert tom.level_dbfs + tom.gain_db == pytest.approx(
        REFERENCE_LEVELS_DBFS[Role.TOM_MID] + BLEED_LEVEL_DB
    )


def test_one_stroke_on_a_tom_among_many_of_a_bleeding_snare_is_no_bleed():
    stems, roles = kit(snare_times_s=np.arange(0.1, 3.9, 0.2), tom_times_s=(1.05,))
    assert not staged(stems, roles)[1].is_bleed


def test_a_second_microphone_on_a_tom_does_not_make_it_bleed():
    tom = strokes([1.0, 2.0])
    stems = np.stack([tom, 0.5 * tom, strokes([0.5])]).astype(np.float32)
    roles = (Role.TOM_LOW, Role.TOM_EXTRA, Role.SNARE)
    assert not staged(stems, roles)[0].is_bleed


def test_silence_and_hiss_below_the_floor_are_left_alone():
    hiss = np.random.default_rng(0).uniform(-6e-5, 6e-5, (1, 44_100)).astype(np.float32)
    for stems in (np.zeros((1, 44_100), np.float32), hiss, np.zeros((1, 0), np.float32)):
        [stem] = staged(stems, [Role.TOM_MID])
        assert (stem.gain_db, stem.level_dbfs) == (0.0, -np.inf)
        assert stem.to_mapping()["level_dbfs"] is None


@pytest.mark.parametrize("seed", range(20))
def test_weights_without_negatives_are_those_of_lawson_and_hanson(seed):
    rng = np.random.default_rng(seed)
    n_columns = int(rng.integers(1, 12))
    # Peaks are positive and alike: what makes such problems slow to converge.
    common = rng.uniform(0.0, 1.0, (400, 1)) ** 4
    columns = common + 0.3 * rng.uniform(0.0, 1.0, (400, n_columns))
    wanted = columns @ rng.normal(size=n_columns) + 0.1 * rng.normal(size=400)
    scale = np.linalg.norm(columns, axis=0)
    columns, wanted = columns / scale, wanted / np.linalg.norm(wanted)
    expected, _ = nnls(columns, wanted)
    found = _non_negative_weights(columns.T @ columns, columns.T @ wanted)
    assert found.min() >= 0.0
    explained = [1.0 - np.sum((wanted - columns @ x) ** 2) for x in (expected, found)]
    assert explained[1] == pytest.approx(explained[0], abs=1e-5)


def test_gain_is_bounded():
    tiny = np.float32(3e-4) * strokes([1.0])[np.newaxis]
    assert gain_to_db(3e-4) + MAX_GAIN_DB < REFERENCE_LEVELS_DBFS[Role.SNARE]
    assert staged(tiny, [Role.SNARE])[0].gain_db == MAX_GAIN_DB


def test_every_role_that_is_mixed_has_a_level_and_no_other():
    assert set(REFERENCE_LEVELS_DBFS) == set(Role) - LEFT_OUT_ROLES
    with pytest.raises(SettingError, match="trigger"):
        GainStaging([Role.TRIGGER], RATE_HZ)


def test_stems_of_the_caller_stay_as_they_are():
    stems = np.random.default_rng(0).standard_normal((8, 1000)).astype(np.float32)
    copy = stems.copy()
    staged_gains(stems, PAPER_ROLES, RATE_HZ)
    np.testing.assert_array_equal(stems, copy)
