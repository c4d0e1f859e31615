"""How a stroke is played: the recording, its level, what stops it; numbers from a kit by design."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from drummix.corpus.groove import PerformedHit
from drummix.corpus.kit import Hit, Instrument, Kit, Piece
from drummix.corpus.strokes import Drummer, HitPool, RenderedHit, instrument_name, pool_indices
from drummix.levels import db_to_gain, gain_to_db

RATE_HZ = 1000


def instrument(name: str, piece: Piece, levels_db: Sequence[float]) -> Instrument:
    """Recordings of constant level, so that level and peak of each are `levels_db`."""
    hits = [
        Hit(float(n), {"Mic": np.full(400, db_to_gain(level_db), np.float32)})
        for n, level_db in enumerate(levels_db)
    ]
    return Instrument(name, piece, tuple(hits), ("Mic",))


def kit_of(
    instruments: Sequence[Instrument],
    note_map: Mapping[int, str],
    chokes: Mapping[str, tuple[str, ...]] | None = None,
) -> Kit:
    named = {i.name: i for i in instruments}
    return Kit("test", RATE_HZ, ("Mic",), named, note_map, "CC0", chokes or {})


def played(
    kit: Kit, *strokes: PerformedHit, seed: int = 0, pool: HitPool = "all"
) -> list[RenderedHit]:
    return Drummer(kit, pool=pool, rng=np.random.default_rng(seed)).play(strokes, lead_s=0.0)


def level_db(kit: Kit, hit: RenderedHit) -> float:
    recording = kit.instruments[hit.instrument].hits[hit.sample].channels["Mic"]
    return float(gain_to_db(float(recording[0]))) + hit.gain_db


def snare_kit(levels_db: Sequence[float]) -> Kit:
    return kit_of([instrument("Snare", Piece.SNARE, levels_db)], {38: "Snare"})


# Levels 1 to 8, one recording each.
LEVELS_DB = gain_to_db(np.arange(1.0, 9.0) / 8.0).tolist()


@pytest.mark.parametrize("n_hits", [4, 7, 8, 25, 56])
def test_training_and_test_pools_share_no_recording(n_hits: int) -> None:
    train, test = pool_indices(n_hits, "train"), pool_indices(n_hits, "test")
    assert not set(train) & set(test)
    assert sorted(train + test) == pool_indices(n_hits, "all") == list(range(n_hits))
    assert 0.1 <= len(test) / n_hits <= 0.3


def test_instrument_of_fewer_than_four_recordings_is_in_both_pools() -> None:
    assert pool_indices(3, "train") == pool_indices(3, "test") == [0, 1, 2]


def test_round_robin_never_plays_a_recording_twice_in_a_row() -> None:
    strokes = [PerformedHit(0.02 * n, 38, 64) for n in range(200)]
    samples = [hit.sample for hit in played(snare_kit(LEVELS_DB), *strokes)]
    assert all(one != other for one, other in pairwise(samples))
    # Rank (64 - 1) / 126 * 7 = 3.5 of 0..7, and those within 3 dB of its level: 13 of 12, 14, 15.6.
    assert set(samples) == {3, 4, 5}


def test_harder_strokes_are_played_by_harder_recordings_on_the_mean() -> None:
    means = []
    for velocity in (1, 32, 64, 96, 127):
        strokes = [PerformedHit(0.02 * n, 38, velocity) for n in range(100)]
        means.append(np.mean([hit.sample for hit in played(snare_kit(LEVELS_DB), *strokes)]))
    assert means == sorted(means)
    # The ends of the range are the ends of the kit, but for one neighbour of round robin.
    assert means[0] <= 1.0
    assert means[-1] >= 6.0


@pytest.mark.parametrize("pool", ["all", "train"])
def test_loudness_follows_velocity_without_steps_on_a_kit_of_few_recordings(pool: HitPool) -> None:
    # Five recordings 5 dB apart: 20 dB over 126 steps of velocity.
    kit = snare_kit([-30.0, -25.0, -20.0, -15.0, -10.0])
    strokes = [PerformedHit(0.1 * n, 38, velocity) for n, velocity in enumerate(range(1, 128))]
    levels = [level_db(kit, hit) for hit in played(kit, *strokes, pool=pool)]
    np.testing.assert_allclose(levels, np.linspace(-30.0, -10.0, 127), atol=0.001)


def test_turns_of_neighbours_make_no_step_of_level() -> None:
    kit = snare_kit([-20.0, -17.5, -15.3, -13.0, -11.1, -8.0])
    hits = played(kit, *[PerformedHit(0.1 * n, 38, 70) for n in range(60)])
    assert len({hit.sample for hit in hits}) > 1
    assert np.ptp([level_db(kit, hit) for hit in hits]) < 0.002
    assert max(abs(hit.gain_db) for hit in hits) <= 3.0


def test_recordings_far_apart_are_scaled_by_at_most_twelve_db() -> None:
    hits = played(snare_kit([-70.0, -10.0]), PerformedHit(0.0, 38, 50), PerformedHit(1.0, 38, 127))
    # Rank 49/126 of 60 dB is 23.3 dB above the softest, the nearest recording.
    assert [hit.gain_db for hit in hits] == [12.0, 0.0]
    assert [hit.sample for hit in hits] == [0, 1]


@pytest.mark.parametrize("velocity", [1, 40, 90, 127])
def test_side_stick_is_never_above_the_snare_of_its_velocity(velocity: int) -> None:
    loud = instrument("SideStick", Piece.SNARE, [-20.0, -10.0, 0.0])
    soft = instrument("SideStick", Piece.SNARE, [-40.0, -30.0, -20.0])
    snare = instrument("Snare", Piece.SNARE, [-30.0, -20.0, -10.0])
    for stick, own_db in ((loud, 0.0), (soft, -10.0)):
        kit = kit_of([snare, stick], {37: "SideStick", 38: "Snare"})
        on_snare, on_stick = played(
            kit, PerformedHit(0.0, 38, velocity), PerformedHit(1.0, 37, velocity)
        )
        difference_db = level_db(kit, on_stick) - level_db(kit, on_snare)
        assert difference_db == pytest.approx(own_db, abs=0.002)


@pytest.mark.parametrize("has_pedal", [True, False], ids=["pedal", "stand-in"])
def test_pedal_hihat_is_six_db_below_the_stick(has_pedal: bool) -> None:
    hats = [
        instrument("HatClosed", Piece.HIHAT, [-30.0, -20.0]),
        instrument("HatOpen", Piece.HIHAT, [-25.0, -15.0]),
        instrument("HatPedal", Piece.HIHAT, [-22.0, -12.0]),
    ]
    notes = {42: "HatClosed", 46: "HatOpen", 44: "HatPedal" if has_pedal else "HatClosed"}
    kit = kit_of(hats, notes)
    closed, pedal = played(kit, PerformedHit(0.0, 42, 100), PerformedHit(1.0, 44, 100))
    assert level_db(kit, pedal) - level_db(kit, closed) == pytest.approx(-6.0, abs=0.002)


HATS = [
    instrument(name, Piece.HIHAT, [-20.0])
    for name in ("HatClosed", "HatOpen", "HatHalfOpen", "HatPedal")
]
HAT_NOTES = {42: "HatClosed", 44: "HatPedal", 46: "HatHalfOpen", 26: "HatOpen"}


@pytest.mark.parametrize(
    ("note", "openness", "expected"),
    [
        (46, 1.0, "HatOpen"),
        (46, 0.7, "HatOpen"),
        (46, 0.5, "HatHalfOpen"),
        (26, 0.5, "HatHalfOpen"),
        (26, 0.05, "HatHalfOpen"),
        (26, 0.9, "HatOpen"),
        (46, 0.0, "HatHalfOpen"),
        (26, 0.0, "HatOpen"),
        (42, 0.9, "HatClosed"),
        (44, 0.9, "HatPedal"),
    ],
)
def test_pedal_chooses_how_far_a_hihat_struck_open_is_open(
    note: int, openness: float, expected: str
) -> None:
    # A pedal at rest says nothing of a note that is open, and closed notes are closed.
    assert (
        instrument_name(kit_of(HATS, HAT_NOTES), PerformedHit(0.0, note, 90, openness)) == expected
    )


def test_kit_without_a_half_open_hihat_plays_its_open_one() -> None:
    kit = kit_of(HATS[:2], {42: "HatClosed", 46: "HatOpen"})
    assert instrument_name(kit, PerformedHit(0.0, 46, 90, 0.3)) == "HatOpen"
    assert instrument_name(kit, PerformedHit(0.0, 44, 90)) is None


def test_player_or_the_next_choke_stops_a_sound_whichever_is_first() -> None:
    kit = kit_of(HATS, HAT_NOTES, {"HatClosed": ("HatOpen", "HatHalfOpen")})
    first, second, closed = played(
        kit,
        PerformedHit(0.0, 46, 90, 1.0, rings_s=0.5),
        PerformedHit(0.1, 46, 90, 0.3, rings_s=2.0),
        PerformedHit(1.0, 42, 90),
    )
    assert (first.stop_s, second.stop_s, closed.stop_s) == (0.5, 1.0, None)


def test_stated_choke_time_goes_before_the_usual_one() -> None:
    usual = kit_of(HATS, HAT_NOTES, {"HatClosed": ("HatOpen", "HatHalfOpen")})
    kit = replace(usual, choke_times_s={("HatClosed", "HatOpen"): 0.25})
    strokes = [PerformedHit(0.0, 26, 90), PerformedHit(0.1, 46, 90), PerformedHit(0.2, 42, 90)]
    assert [hit.stop_fade_s for hit in played(usual, *strokes)[:2]] == [0.04, 0.04]
    assert [hit.stop_fade_s for hit in played(kit, *strokes)[:2]] == [0.25, 0.04]


def test_recordings_take_turns_by_their_weights() -> None:
    # Three of one level, so that two stand to be chosen from after each.
    snare = instrument("Snare", Piece.SNARE, [-10.0, -10.0, -10.0])
    weighted = zip(snare.hits, (8.0, 1.0, 1.0), strict=True)
    heavy = replace(snare, hits=tuple(replace(hit, weight=weight) for hit, weight in weighted))
    strokes = [PerformedHit(0.1 * n, 38, 64) for n in range(900)]
    count = Counter(hit.sample for hit in played(kit_of([heavy], {38: "Snare"}), *strokes))
    # Chain: from 0 to 1 or 2; from these, 8/9 back to 0. Stationary share of 0: (8/9)/(1 + 8/9).
    assert count[0] / 900 == pytest.approx(8 / 17, abs=0.03)


def test_both_strokes_of_a_flam_sound_by_different_recordings() -> None:
    kit = snare_kit([-12.0, -11.0, -10.0, -9.0])
    grace, main = played(kit, PerformedHit(0.0, 38, 90), PerformedHit(0.018, 38, 90))
    assert grace.sample != main.sample
    assert (grace.time_s, main.time_s) == (0.0, 0.018)
    assert (grace.stop_s, main.stop_s) == (None, None)
