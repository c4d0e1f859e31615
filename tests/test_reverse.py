"""Reverse engineering: known gains and filters come back, and what is told about them is true."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from drummix.effects.reverse import (
    EquationStream,
    filter_blocks,
    fit_filters,
    fit_gain_envelopes,
    fit_gains,
    score,
    solve,
)
from drummix.errors import SettingError

Signal = NDArray[np.float64]
GAINS = np.array([[0.8, -0.3, 0.5, 0.0], [0.2, -0.6, 0.5, 0.9]])


def noise(n_samples: int = 20_000, n_stems: int = 4, seed: int = 0) -> Signal:
    """Stems that hear each other, coloured, of levels 40 dB apart."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((n_stems, n_samples))
    coloured = signal.lfilter([1.0], [1.0, -0.6], white + 0.3 * white.sum(axis=0), axis=1)
    return coloured * np.logspace(0.0, -2.0, n_stems)[:, np.newaxis]


def random_filters(n_taps: int, n_stems: int = 4, seed: int = 1) -> Signal:
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.arange(n_taps) / max(1.0, n_taps / 6))
    return rng.standard_normal((2, n_stems, n_taps)) * decay


def filtered(stems: Signal, filters: Signal, n_lead: int = 0) -> Signal:
    """What the filters make, by the definition of convolution."""
    padded = np.pad(stems, ((0, 0), (0, n_lead)))
    mix = np.zeros((filters.shape[0], stems.shape[1]))
    for channel, stem in np.ndindex(filters.shape[:2]):
        long = np.convolve(padded[stem], filters[channel, stem])
        mix[channel] += long[n_lead : n_lead + stems.shape[1]]
    return mix


def cut(stems: Signal, target: Signal, n_block: int) -> Iterator[tuple[Signal, Signal]]:
    for start in range(0, stems.shape[1], n_block):
        yield stems[:, start : start + n_block], target[:, start : start + n_block]


def db(value: float) -> float:
    return 10.0 * np.log10(value)


# --- gains


@pytest.mark.parametrize("n_block", [20_000, 4096, 37])
def test_gains_come_back_whatever_the_blocks_are(n_block: int) -> None:
    stems = noise()
    fit = fit_gains(cut(stems, GAINS @ stems, n_block), ridge=0.0)
    np.testing.assert_allclose(fit.gains, GAINS, atol=1e-9)
    assert fit.score.explained_share == pytest.approx(1.0, abs=1e-12)


def test_mono_gains_are_those_of_the_mean_of_the_channels() -> None:
    stems = noise()
    fit = fit_gains([(stems, GAINS @ stems)], is_mono=True, ridge=0.0)
    np.testing.assert_allclose(fit.gains, GAINS.mean(axis=0, keepdims=True), atol=1e-9)


def test_non_negative_gains_are_the_best_of_those_without_a_sign() -> None:
    stems = noise()
    fit = fit_gains([(stems, GAINS @ stems)], is_non_negative=True)
    assert fit.gains.min() >= 0.0
    # The conditions of an optimum: no gain may rise to help, and those above zero may not move.
    left = GAINS @ stems - fit.gains @ stems
    slope = left @ stems.T / np.sqrt(np.sum(stems**2, axis=1))
    assert slope.max() < 1e-4 * np.abs(GAINS @ stems @ stems.T).max()
    assert np.abs(slope[fit.gains > 0.0]).max() < 1e-4 * np.abs(slope).max()
    # GAINS turns the second stem around, which is not allowed here.
    assert fit.gains[:, 1].tolist() == [0.0, 0.0]


def test_non_negative_filters_are_refused() -> None:
    stream = EquationStream(1, 1, n_taps=2)
    stream.add(np.ones((1, 10)), np.ones((1, 10)))
    with pytest.raises(SettingError, match="use 1 tap"):
        solve(stream.finish()[0], is_non_negative=True)


def test_ridge_shares_a_gain_between_equal_stems() -> None:
    one = noise(n_stems=1)
    fit = fit_gains([(np.concatenate([one, one]), 0.8 * one)])
    np.testing.assert_allclose(fit.gains, [[0.4, 0.4]], rtol=1e-6)
    assert fit.condition > 1e8


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_ridge_shrinks_a_lone_gain_by_one_over_one_plus_itself(ridge: float) -> None:
    one = noise(n_stems=1)
    fit = fit_gains([(one, 0.8 * one)], ridge=ridge)
    assert fit.gains[0, 0] == pytest.approx(0.8 / (1.0 + ridge), rel=1e-9)


def test_ridge_draws_towards_given_filters() -> None:
    stream = EquationStream(1, 1)
    one = noise(n_stems=1)
    stream.add(one, 0.8 * one)
    [equations] = stream.finish()
    # Halfway between what the audio says and what was given.
    fit = solve(equations, ridge=1.0, towards=np.full((1, 1, 1), 0.4))
    assert fit.gains[0, 0] == pytest.approx(0.6, rel=1e-9)


def test_silent_stem_is_dropped_and_said() -> None:
    stems = noise()
    stems[2] = 0.0
    fit = fit_gains([(stems, GAINS @ stems)], ridge=0.0)
    np.testing.assert_allclose(fit.gains, GAINS * [1.0, 1.0, 0.0, 1.0], atol=1e-9)
    assert [stem.is_silent for stem in fit.stems] == [False, False, True, False]


# --- filters


@pytest.mark.parametrize(("n_taps", "n_lead"), [(2, 0), (9, 3), (64, 16), (256, 0)])
def test_filters_come_back(n_taps: int, n_lead: int) -> None:
    stems, filters = noise(), random_filters(n_taps)
    pairs = cut(stems, filtered(stems, filters, n_lead), 3000)
    fit = fit_filters(pairs, n_taps=n_taps, n_lead=n_lead, ridge=0.0)
    np.testing.assert_allclose(fit.filters, filters, atol=1e-8)
    assert fit.score.si_sdr_db > 100.0


def test_filters_of_1024_taps_come_back() -> None:
    stems, filters = noise(n_stems=2), random_filters(1024, n_stems=2)
    fit = fit_filters([(stems, filtered(stems, filters))], n_taps=1024, ridge=0.0)
    np.testing.assert_allclose(fit.filters, filters, atol=1e-8)


def test_parts_of_a_song_are_fitted_exactly_though_sound_goes_on_outside() -> None:
    stems, filters = noise(), random_filters(33)
    target = filtered(stems, filters, 8)
    stream = EquationStream(4, 2, n_taps=33, n_lead=8, n_folds=2)
    folds = itertools.cycle([0, 1, None])
    for (x, t), fold in zip(cut(stems, target, 1111), folds, strict=False):
        stream.add(x, t if fold is not None else np.full_like(t, 9.0), fold=fold)
    for equations in stream.finish():
        np.testing.assert_allclose(solve(equations, ridge=0.0).filters, filters, atol=1e-8)


def test_shorter_filters_are_those_of_equations_gathered_for_them() -> None:
    stems = noise()
    target = filtered(stems, random_filters(64))
    long, short = (
        EquationStream(4, 2, n_taps=64, n_lead=16),
        EquationStream(4, 2, n_taps=9, n_lead=3),
    )
    for stream in (long, short):
        stream.add(stems, target)
    cropped = solve(long.finish()[0], n_taps=9, n_lead=3)
    np.testing.assert_allclose(cropped.filters, solve(short.finish()[0]).filters, atol=1e-9)


def test_equations_of_two_parts_add_up() -> None:
    stems = noise()
    target = filtered(stems, random_filters(16)) + noise(n_stems=2, seed=7)
    parts = EquationStream(4, 2, n_taps=16, n_folds=2)
    whole = EquationStream(4, 2, n_taps=16)
    for (x, t), fold in zip(cut(stems, target, 10_000), (0, 1), strict=True):
        parts.add(x, t, fold=fold)
        whole.add(x, t)
    first, second = parts.finish()
    expected = solve(whole.finish()[0])
    np.testing.assert_allclose(solve(first + second).filters, expected.filters, atol=1e-9)


@pytest.mark.parametrize("n_block", [50_000, 5000, 17])
def test_filters_run_over_a_stream_as_over_the_whole(n_block: int) -> None:
    stems, filters = noise(n_samples=12_345), random_filters(40)
    expected = filtered(stems, filters, 10)
    blocks = (x for x, _ in cut(stems, stems, n_block))
    made = np.concatenate(list(filter_blocks(blocks, filters, 10)), axis=1)
    assert made.shape == expected.shape
    assert db(np.mean((made - expected) ** 2) / np.mean(expected**2)) < -130.0  # float32


def test_taps_and_leads_out_of_range_are_refused() -> None:
    for n_taps, n_lead in ((0, 0), (1025, 0), (8, 8), (8, -1)):
        with pytest.raises(SettingError):
            EquationStream(1, 1, n_taps=n_taps, n_lead=n_lead)
    [equations] = EquationStream(1, 1, n_taps=8, n_lead=2).finish()
    with pytest.raises(SettingError, match="no audio"):
        solve(equations)
    stream = EquationStream(1, 1, n_taps=8, n_lead=2)
    stream.add(np.ones((1, 10)), np.ones((1, 10)))
    [equations] = stream.finish()
    for n_taps, n_lead in ((9, 2), (4, 3), (8, 1)):
        with pytest.raises(SettingError, match="does not fit"):
            solve(equations, n_taps=n_taps, n_lead=n_lead)


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingError, match="one length"):
        fit_gains([(np.ones((2, 10)), np.ones((2, 9)))])
    stream = EquationStream(2, 2)
    with pytest.raises(SettingError, match="stems are 3"):
        stream.add(np.ones((3, 10)), np.ones((2, 10)))


# --- what is told about a fit


def test_score_is_that_of_the_audio() -> None:
    stems, filters = noise(), random_filters(20)
    target = filtered(stems, random_filters(20, seed=5)) + noise(n_stems=2, seed=9)
    made = filtered(stems, filters)
    stream = EquationStream(4, 2, n_taps=20)
    stream.add(stems, target)
    found = score(stream.finish()[0], filters)
    assert found.explained_share == pytest.approx(
        1 - np.sum((target - made) ** 2) / np.sum(target**2)
    )
    scaled = np.vdot(made, target) / np.vdot(target, target) * target
    assert found.si_sdr_db == pytest.approx(db(np.sum(scaled**2) / np.sum((made - scaled) ** 2)))
    by_channel = 1 - np.sum((target - made) ** 2, axis=1) / np.sum(target**2, axis=1)
    assert found.channel_shares == pytest.approx(by_channel)


def test_own_share_is_what_leaving_a_stem_out_costs() -> None:
    stems = noise()
    target = filtered(stems, random_filters(12)) + noise(n_stems=2, seed=9)
    whole = fit_filters([(stems, target)], n_taps=12, ridge=0.0)
    for index, stem in enumerate(whole.stems):
        others = np.delete(stems, index, axis=0)
        without = fit_filters([(others, target)], n_taps=12, ridge=0.0)
        cost = whole.score.explained_share - without.score.explained_share
        assert stem.own_share == pytest.approx(cost, rel=1e-6, abs=1e-9)
        rest = 1.0 - whole.score.explained_share
        assert stem.confidence == pytest.approx(cost / (cost + rest), rel=1e-6, abs=1e-6)


def test_confidence_falls_where_another_stem_hears_the_same() -> None:
    stems = noise(n_stems=3)
    twin = stems[:1] + 1e-4 * np.random.default_rng(3).standard_normal(stems[:1].shape)
    target = GAINS[:, :3] @ stems + 0.01 * noise(n_stems=2, seed=9)
    alone = fit_gains([(stems, target)]).stems[0].confidence
    beside = fit_gains([(np.concatenate([stems, twin]), target)]).stems[0].confidence
    assert alone > 0.99
    assert beside < 0.1


def test_condition_is_that_of_the_scaled_equations() -> None:
    stems = noise()
    fit = fit_gains([(stems, GAINS @ stems)], ridge=0.0)
    correlation = np.corrcoef(stems)  # the stems have all but no mean
    assert fit.condition == pytest.approx(np.linalg.cond(correlation, 1), rel=0.2)


# --- gains that move


def ramp(n_samples: int) -> Signal:
    return np.linspace(0.0, 1.0, n_samples, endpoint=False)


@pytest.mark.parametrize("n_block", [20_000, 777])
def test_gains_that_move_in_straight_lines_come_back(n_block: int) -> None:
    stems = noise(n_stems=2)
    up = ramp(stems.shape[1])
    target = np.array([up * stems[0] + 0.5 * stems[1], (1.0 - up) * stems[0]])
    pairs = cut(stems, target, n_block)
    fit = fit_gain_envelopes(pairs, knot_samples=4000, smoothness=0.0, ridge=0.0)
    np.testing.assert_allclose(fit.knots[:, 0, 0], np.linspace(0.0, 1.0, 6), atol=1e-6)
    np.testing.assert_allclose(fit.knots[:, 1, 0], np.linspace(1.0, 0.0, 6), atol=1e-6)
    np.testing.assert_allclose(fit.knots[:, 0, 1], 0.5, atol=1e-6)
    assert fit.explained_share == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(fit.mix(stems), target, atol=1e-5)
    np.testing.assert_allclose(fit.mix(stems[:, 5000:], 5000), target[:, 5000:], atol=1e-5)


def test_great_smoothness_gives_static_gains() -> None:
    stems = noise(n_stems=2)
    target = ramp(stems.shape[1]) * stems[:1]
    fit = fit_gain_envelopes([(stems, target)], knot_samples=2000, smoothness=1e6)
    static = fit_gains([(stems, target)]).gains
    np.testing.assert_allclose(fit.knots, np.broadcast_to(static, fit.knots.shape), atol=1e-3)


def test_envelope_of_a_silent_stem_is_zero() -> None:
    stems = noise(n_stems=2)
    stems[1] = 0.0
    fit = fit_gain_envelopes([(stems, stems[:1])], knot_samples=2000)
    np.testing.assert_allclose(fit.knots[:, 0], [[1.0, 0.0]] * 11, atol=1e-6)


def test_envelopes_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="knot_samples"):
        fit_gain_envelopes([], knot_samples=0)
    with pytest.raises(SettingError, match="smoothness"):
        fit_gain_envelopes([], knot_samples=9, smoothness=-1.0)
    with pytest.raises(SettingError, match="no audio"):
        fit_gain_envelopes([], knot_samples=9)
    fit = fit_gain_envelopes([(np.ones((1, 18)), np.ones((1, 18)))], knot_samples=9)
    with pytest.raises(SettingError, match="beyond the last knot"):
        fit.mix(np.ones((1, 20)))
