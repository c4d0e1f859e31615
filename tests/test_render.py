"""Rendering: where hits land, what each microphone hears, which recordings may sound."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest

from drummix.corpus.groove import PerformedHit
from drummix.corpus.kit import Hit, Instrument, Kit, Piece
from drummix.corpus.render import (
    HitPool,
    Rendering,
    loud_hits,
    pool_indices,
    render_performance,
)
from drummix.errors import CorpusError, SettingError

RATE_HZ = 1000
CHANNELS = ("Kick", "Snare", "Hat", "OH")
BLEED = {"Kick": 0.1, "Snare": 0.2, "Hat": 0.05, "OH": 0.5}


def instrument(
    name: str,
    piece: Piece,
    main: str,
    *,
    n_hits: int = 8,
    n_samples: int = 20,
    is_normalised: bool = False,
) -> Instrument:
    """Hits of constant level 1 to n_hits in the main microphone, and less in the others."""
    hits = []
    for number in range(1, n_hits + 1):
        level = 1.0 if is_normalised else float(number)
        channels = {
            channel: np.full(n_samples, level * (1.0 if channel == main else bleed), np.float32)
            for channel, bleed in BLEED.items()
        }
        hits.append(Hit(float(number), channels, is_normalised))
    return Instrument(name, piece, tuple(hits), (main,))


def kit_of(
    instruments: Sequence[Instrument],
    note_map: Mapping[int, str],
    chokes: Mapping[str, tuple[str, ...]] | None = None,
) -> Kit:
    return Kit(
        name="test",
        rate_hz=RATE_HZ,
        channels=CHANNELS,
        instruments={i.name: i for i in instruments},
        note_map=note_map,
        licence="CC0",
        chokes=chokes or {},
    )


@pytest.fixture
def kit() -> Kit:
    return kit_of(
        [
            instrument("Kick", Piece.KICK, "Kick"),
            instrument("Snare", Piece.SNARE, "Snare"),
            instrument("HatClosed", Piece.HIHAT, "Hat"),
            instrument("HatOpen", Piece.HIHAT, "Hat", n_samples=500),
        ],
        {36: "Kick", 38: "Snare", 42: "HatClosed", 46: "HatOpen"},
        {"HatClosed": ("HatOpen",)},
    )


def play(
    kit: Kit,
    *hits: tuple[float, int, int],
    seed: int = 0,
    pool: HitPool = "all",
    lead_s: float = 0.1,
    tail_s: float = 1.0,
) -> Rendering:
    performance = [PerformedHit(*hit) for hit in hits]
    rng = np.random.default_rng(seed)
    return render_performance(kit, performance, rng=rng, pool=pool, lead_s=lead_s, tail_s=tail_s)


def test_microphones_are_the_sum_of_the_hits_at_their_exact_samples(kit: Kit) -> None:
    strokes = [(0.0, 36, 127), (0.0104, 38, 64), (0.0106, 36, 1), (0.3, 42, 100)]
    rendering = play(kit, *strokes)
    assert rendering.n_samples == round((0.1 + 0.3 + 1.0) * RATE_HZ)
    for channel in CHANNELS:
        expected = np.zeros(rendering.n_samples, np.float32)
        for (time_s, *_), hit in zip(strokes, rendering.hits, strict=True):
            start = round((time_s + 0.1) * RATE_HZ)
            recording = kit.instruments[hit.instrument].hits[hit.sample].channels[channel]
            expected[start : start + len(recording)] += recording
        np.testing.assert_array_equal(rendering.microphones[channel], expected)
    assert rendering.onsets(Piece.KICK).tolist() == [100, 111]
    assert rendering.onsets(Piece.SNARE, Piece.HIHAT).tolist() == [110, 400]


def test_bleed_is_in_every_microphone_and_in_no_clean_piece(kit: Kit) -> None:
    rendering = play(kit, (0.0, 36, 100), (0.1, 38, 100))
    kick_at, snare_at = 105, 205
    level = {hit.piece: hit.sample + 1.0 for hit in rendering.hits}
    for channel, bleed in BLEED.items():
        kick = level[Piece.KICK] * (1.0 if channel == "Kick" else bleed)
        snare = level[Piece.SNARE] * (1.0 if channel == "Snare" else bleed)
        assert rendering.microphones[channel][kick_at] == pytest.approx(kick)
        assert rendering.microphones[channel][snare_at] == pytest.approx(snare)
    assert rendering.clean[Piece.KICK][[kick_at, snare_at]].tolist() == [level[Piece.KICK], 0.0]
    assert rendering.clean[Piece.SNARE][[kick_at, snare_at]].tolist() == [0.0, level[Piece.SNARE]]
    assert set(rendering.clean) == {Piece.KICK, Piece.SNARE}


def test_closing_the_hihat_fades_the_open_one_in_forty_milliseconds(kit: Kit) -> None:
    # A closed hat's own sound lasts 20 samples; what is heard after that is the open one.
    open_alone = play(kit, (0.0, 46, 127)).microphones["Hat"]
    choked = play(kit, (0.0, 46, 127), (0.2, 42, 127))
    closed = kit.instruments["HatClosed"].hits[choked.hits[1].sample].channels["Hat"]
    heard = choked.microphones["Hat"].copy()
    heard[300 : 300 + len(closed)] -= closed
    level = choked.hits[0].sample + 1.0
    assert open_alone[320] > 0.0
    np.testing.assert_allclose(heard[100:300], level)
    fade = level * np.cos(np.linspace(0.0, np.pi / 2, 40))
    np.testing.assert_allclose(heard[300:340], fade, atol=1e-5)
    assert np.all(heard[340:] == 0.0)
    # A snare closes nothing.
    beside = play(kit, (0.0, 46, 127), (0.2, 38, 127)).microphones["Hat"]
    assert beside[360] == open_alone[360]


def test_open_hihat_struck_after_the_closing_rings_on(kit: Kit) -> None:
    rendering = play(kit, (0.0, 46, 127), (0.1, 42, 127), (0.15, 46, 127))
    assert rendering.microphones["Hat"][100 + 300] == rendering.hits[2].sample + 1.0


@pytest.mark.parametrize("n_hits", [4, 7, 8, 25, 56])
def test_training_and_test_pools_share_no_recording(n_hits: int) -> None:
    train, test = pool_indices(n_hits, "train"), pool_indices(n_hits, "test")
    assert not set(train) & set(test)
    assert sorted(train + test) == pool_indices(n_hits, "all") == list(range(n_hits))
    assert 0.1 <= len(test) / n_hits <= 0.3


def test_instrument_of_fewer_than_four_recordings_is_in_both_pools() -> None:
    assert pool_indices(3, "train") == pool_indices(3, "test") == [0, 1, 2]


@pytest.mark.parametrize("pool", ["train", "test"])
def test_only_recordings_of_the_pool_sound(kit: Kit, pool: HitPool) -> None:
    strokes = [(0.05 * n, 38, 1 + 3 * n) for n in range(42)]
    rendering = play(kit, *strokes, pool=pool)
    assert {hit.sample for hit in rendering.hits} == set(pool_indices(8, pool))


def test_round_robin_never_plays_a_recording_twice_in_a_row(kit: Kit) -> None:
    strokes = [(0.02 * n, 38, 64) for n in range(200)]
    samples = [hit.sample for hit in play(kit, *strokes).hits]
    assert all(one != other for one, other in pairwise(samples))
    # Rank (64 - 1) / 126 * 7 = 3.5 of 0..7 rounds to 4, and its neighbours take turns with it.
    assert set(samples) == {3, 4, 5}


def test_harder_strokes_are_louder_on_the_mean(kit: Kit) -> None:
    means = []
    for velocity in (1, 32, 64, 96, 127):
        strokes = [(0.02 * n, 38, velocity) for n in range(100)]
        means.append(np.mean([hit.sample for hit in play(kit, *strokes).hits]))
    assert means == sorted(means)
    # The ends of the range are the ends of the kit, but for one neighbour of round robin.
    assert means[0] <= 1.0
    assert means[-1] >= 6.0


def test_velocity_makes_the_level_of_normalised_recordings() -> None:
    snare = instrument("Snare", Piece.SNARE, "Snare", is_normalised=True)
    rendering = play(kit_of([snare], {38: "Snare"}), (0.0, 38, 127), (0.1, 38, 32))
    heard = rendering.microphones["Snare"]
    assert heard[110] == 1.0
    assert heard[210] == pytest.approx(32 / 127)
    assert rendering.clean[Piece.SNARE][210] == pytest.approx(32 / 127)


def test_same_seed_gives_the_same_samples_and_another_seed_others(kit: Kit) -> None:
    strokes = [(0.02 * n, 38, 64) for n in range(50)]
    first, second, other = (play(kit, *strokes, seed=seed) for seed in (3, 3, 4))
    for channel in CHANNELS:
        np.testing.assert_array_equal(first.microphones[channel], second.microphones[channel])
    assert first.hits == second.hits
    assert first.hits != other.hits


def test_strokes_out_of_order_render_as_in_order(kit: Kit) -> None:
    strokes = [(0.3, 36, 100), (0.0, 38, 100), (0.1, 42, 100)]
    shuffled, ordered = play(kit, *strokes), play(kit, *sorted(strokes))
    np.testing.assert_array_equal(shuffled.microphones["OH"], ordered.microphones["OH"])


def test_notes_without_an_instrument_are_reported_and_the_rest_plays(kit: Kit) -> None:
    rendering = play(kit, (0.0, 54, 100), (0.1, 38, 100), (0.2, 56, 100), (0.3, 54, 90))
    assert rendering.unplayed_notes == (54, 56)
    assert [hit.piece for hit in rendering.hits] == [Piece.SNARE]


def test_performance_that_the_kit_cannot_play_at_all_says_so(kit: Kit) -> None:
    with pytest.raises(CorpusError, match=r"kit test has no instrument for any of .*\[54, 56\]"):
        play(kit, (0.0, 54, 100), (0.1, 56, 100))
    with pytest.raises(CorpusError, match="no instrument"):
        play(kit)


def test_lead_and_tail_are_silence_around_the_performance(kit: Kit) -> None:
    for lead_s, tail_s in ((0.0, 0.5), (0.3, 1.2)):
        rendering = play(kit, (0.0, 36, 100), lead_s=lead_s, tail_s=tail_s)
        start = round(lead_s * RATE_HZ)
        heard = np.flatnonzero(rendering.microphones["Kick"])
        assert (heard[0], heard[-1]) == (start, start + 19)
        assert rendering.n_samples == round((lead_s + tail_s) * RATE_HZ)


@pytest.mark.parametrize(("lead_s", "tail_s"), [(-0.1, 1.0), (0.0, 0.0), (0.0, float("nan"))])
def test_lead_or_tail_out_of_range_is_refused(kit: Kit, lead_s: float, tail_s: float) -> None:
    with pytest.raises(SettingError, match="tail of"):
        play(kit, (0.0, 36, 100), lead_s=lead_s, tail_s=tail_s)


def test_what_still_rings_at_the_end_fades_out(kit: Kit) -> None:
    heard = play(kit, (0.0, 46, 127), lead_s=0.0, tail_s=0.4).microphones["Hat"]
    level = heard[0]
    np.testing.assert_allclose(heard[:100], level)
    # A raised cosine over the last 0.3 s: half of the level in its middle.
    fade = np.cos(np.linspace(0.0, np.pi / 2, 300)) ** 2
    np.testing.assert_allclose(heard[100:], level * fade, atol=1e-5)


@pytest.mark.parametrize(("share", "levels"), [(1 / 3, [6.0, 7.0, 8.0]), (0.01, [8.0])])
def test_loud_hits_are_the_top_of_each_instrument(
    kit: Kit, share: float, levels: Sequence[float]
) -> None:
    snare = loud_hits([kit.instruments["Snare"]], share=share)
    assert [hit.power for hit in snare] == levels
    assert len(loud_hits(kit.instruments.values(), share=share)) == 4 * len(levels)
