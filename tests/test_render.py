"""Rendering: where hits land, what each microphone hears, which recordings may sound."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from drummix.corpus.groove import PerformedHit
from drummix.corpus.kit import Hit, Instrument, Kit, Piece
from drummix.corpus.render import Rendering, loud_hits, render_performance
from drummix.corpus.strokes import HitPool, RenderedHit, pool_indices
from drummix.errors import CorpusError, SettingError
from drummix.levels import db_to_gain

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


def level_of(hit: RenderedHit) -> float:
    """Level of a stroke in its main microphone, on the kit of these tests."""
    return (hit.sample + 1.0) * db_to_gain(hit.gain_db)


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
            gain = np.float32(db_to_gain(hit.gain_db))
            expected[start : start + len(recording)] += gain * recording
        np.testing.assert_array_equal(rendering.microphones[channel], expected)
    assert rendering.onsets(Piece.KICK).tolist() == [100, 111]
    assert rendering.onsets(Piece.SNARE, Piece.HIHAT).tolist() == [110, 400]


def test_bleed_is_in_every_microphone_and_in_no_clean_piece(kit: Kit) -> None:
    rendering = play(kit, (0.0, 36, 100), (0.1, 38, 100))
    kick_at, snare_at = 105, 205
    level = {hit.piece: level_of(hit) for hit in rendering.hits}
    for channel, bleed in BLEED.items():
        kick = level[Piece.KICK] * (1.0 if channel == "Kick" else bleed)
        snare = level[Piece.SNARE] * (1.0 if channel == "Snare" else bleed)
        assert rendering.microphones[channel][kick_at] == pytest.approx(kick)
        assert rendering.microphones[channel][snare_at] == pytest.approx(snare)
    at = [kick_at, snare_at]
    assert rendering.clean[Piece.KICK][at].tolist() == pytest.approx([level[Piece.KICK], 0.0])
    assert rendering.clean[Piece.SNARE][at].tolist() == pytest.approx([0.0, level[Piece.SNARE]])
    assert set(rendering.clean) == {Piece.KICK, Piece.SNARE}


def test_closing_the_hihat_fades_the_open_one_in_forty_milliseconds(kit: Kit) -> None:
    # A closed hat's own sound lasts 20 samples; what is heard after that is the open one.
    open_alone = play(kit, (0.0, 46, 127)).microphones["Hat"]
    choked = play(kit, (0.0, 46, 127), (0.2, 42, 127))
    closed = kit.instruments["HatClosed"].hits[choked.hits[1].sample].channels["Hat"]
    heard = choked.microphones["Hat"].copy()
    heard[300 : 300 + len(closed)] -= closed * np.float32(db_to_gain(choked.hits[1].gain_db))
    level = level_of(choked.hits[0])
    assert open_alone[320] > 0.0
    np.testing.assert_allclose(heard[100:300], level, rtol=1e-6)
    fade = level * np.cos(np.linspace(0.0, np.pi / 2, 40))
    np.testing.assert_allclose(heard[300:340], fade, atol=1e-5)
    np.testing.assert_allclose(heard[340:], 0.0, atol=1e-6)
    # A snare closes nothing.
    beside = play(kit, (0.0, 46, 127), (0.2, 38, 127)).microphones["Hat"]
    assert beside[360] == pytest.approx(open_alone[360])


def test_cymbal_that_a_hand_grabs_is_silent_after_eighty_milliseconds() -> None:
    crash = instrument("Crash", Piece.CRASH, "OH", n_samples=900)
    kit = kit_of([crash], {49: "Crash"})
    grabbed = PerformedHit(0.0, 49, 100, rings_s=0.3)
    rng = np.random.default_rng(0)
    rendering = render_performance(kit, [grabbed], rng=rng, lead_s=0.1, tail_s=1.5)
    level = level_of(rendering.hits[0])
    assert rendering.hits[0].stop_s == pytest.approx(0.4)
    for heard in (rendering.microphones["OH"], rendering.clean[Piece.CRASH]):
        np.testing.assert_allclose(heard[100:400], level, rtol=1e-6)
        fade = level * np.cos(np.linspace(0.0, np.pi / 2, 80))
        np.testing.assert_allclose(heard[400:480], fade, atol=1e-5)
        assert np.all(heard[480:] == 0.0)


def test_open_hihat_struck_after_the_closing_rings_on(kit: Kit) -> None:
    rendering = play(kit, (0.0, 46, 127), (0.1, 42, 127), (0.15, 46, 127))
    assert rendering.microphones["Hat"][100 + 300] == pytest.approx(level_of(rendering.hits[2]))


@pytest.mark.parametrize("pool", ["train", "test"])
def test_only_recordings_of_the_pool_sound(kit: Kit, pool: HitPool) -> None:
    strokes = [(0.05 * n, 38, 1 + 3 * n) for n in range(42)]
    rendering = play(kit, *strokes, pool=pool)
    assert {hit.sample for hit in rendering.hits} == set(pool_indices(8, pool))


def test_velocity_makes_the_level_of_normalised_recordings() -> None:
    snare = instrument("Snare", Piece.SNARE, "Snare", is_normalised=True)
    rendering = play(kit_of([snare], {38: "Snare"}), (0.0, 38, 127), (0.1, 38, 32))
    heard = rendering.microphones["Snare"]
    assert heard[110] == 1.0
    # Gains are kept to 0.001 dB, 0.006%.
    assert heard[210] == pytest.approx(32 / 127, rel=6e-5)
    assert rendering.clean[Piece.SNARE][210] == pytest.approx(32 / 127, rel=6e-5)


def test_same_seed_gives_the_same_samples_and_another_seed_others(kit: Kit) -> None:
    strokes = [(0.02 * n, 38, 64) for n in range(50)]
    first, second, other = (play(kit, *strokes, seed=seed) for seed in (3, 3, 4))
    for channel in CHANNELS:
        np.testing.assert_array_equal(first.microphones[channel], second.microphones[channel])
    assert first.hits == second.hits
    assert first.hits != other.hits


@pytest.mark.parametrize("semitones", [-12.0, -3.0, 0.5, 12.0])
def test_tuned_kit_sounds_higher_at_the_same_times(semitones: float) -> None:
    tone = np.sin(2 * np.pi * 0.06 * np.arange(600)).astype(np.float32) * np.hanning(600)
    snare = Instrument("Snare", Piece.SNARE, (Hit(1.0, {"Snare": tone}),), ("Snare",))
    kit = kit_of([snare], {38: "Snare"})
    strokes = [PerformedHit(0.0, 38, 100), PerformedHit(2.0, 38, 100)]
    rng = np.random.default_rng(0)
    rendering = render_performance(kit, strokes, rng=rng, tuning_semitones=semitones)
    assert rendering.n_samples == round((0.25 + 2.0 + 1.5) * RATE_HZ)
    assert [hit.time_s for hit in rendering.hits] == [0.25, 2.25]
    pitch = 2.0 ** (semitones / 12.0)
    for heard in (rendering.microphones["Snare"], rendering.clean[Piece.SNARE]):
        spectrum = np.abs(np.fft.rfft(heard))
        # 60 Hz at a rate of 1 kHz; the bins are 0.27 Hz apart, the peak 4 Hz wide.
        peak_hz = np.argmax(spectrum) * RATE_HZ / len(heard)
        assert peak_hz == pytest.approx(60.0 * pitch, abs=1.0)
        # The window's middle comes 300 samples after the stroke, sooner if higher.
        for start in (250, 2250):
            span = np.abs(heard[start : start + 1200])
            middle = np.sum(np.arange(len(span)) * span) / np.sum(span)
            assert middle == pytest.approx(299.5 / pitch, abs=3.0)


def test_tuning_does_not_change_what_is_played(kit: Kit) -> None:
    strokes = [PerformedHit(0.1 * n, 38, 3 * n + 1) for n in range(40)]
    plain, tuned = (
        render_performance(kit, strokes, rng=np.random.default_rng(5), tuning_semitones=tuning)
        for tuning in (0.0, 2.5)
    )
    assert plain.hits == tuned.hits


@pytest.mark.parametrize("semitones", [-12.5, 13.0, float("nan")])
def test_tuning_out_of_range_is_refused(kit: Kit, semitones: float) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SettingError, match=r"tuning_semitones is .*; give -12 to 12"):
        render_performance(kit, [PerformedHit(0.0, 38, 90)], rng=rng, tuning_semitones=semitones)


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
