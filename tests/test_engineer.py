"""The reference engineer: a linear dry mix, a wet mix in which every taste can be heard."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.engineer import CLOSE_ROLES, ReferenceMixes, mix_reference, mix_target
from drummix.corpus.groove import PerformedHit, read_midi
from drummix.corpus.kit import TOMS, FloatArray, Hit, Instrument, Kit, Piece
from drummix.corpus.manifest import Target
from drummix.corpus.render import Rendering, render_performance
from drummix.corpus.studio import Studio
from drummix.corpus.taste import FADERS_DB, PANS, RANGES, Taste
from drummix.gain_staging import staged_gains
from drummix.levels import crest_db, db_to_gain, gain_to_db, peak_dbfs, rms_dbfs
from drummix.roles import PAPER_ROLES, Role

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DRUMMIX_DATA", REPO.parent / "shared" / "data"))
RATE_HZ = 44_100
NOTES = {36: "Kick", 38: "Snare", 42: "Hat", 49: "Crash", 48: "Tom1", 47: "Tom2", 43: "Tom3"}
PIECES = {
    "Kick": Piece.KICK,
    "Snare": Piece.SNARE,
    "Hat": Piece.HIHAT,
    "Crash": Piece.CRASH,
    **{f"Tom{n}": TOMS[n - 1] for n in (1, 2, 3)},
}
CHANNELS = ("Kick", "Snare", "Hat", "Tom1", "Tom2", "Tom3", "OHL", "OHR")


def drum(name: str, index: int) -> Instrument:
    """Decaying noise, loud in its own microphone and softer in all others."""
    rng = np.random.default_rng(index)
    main = "OHL" if name == "Crash" else name
    hits = []
    for power in (0.2, 0.5, 1.0):
        decay = np.exp(-np.arange(8000) / 1500) * rng.standard_normal(8000)
        channels = {
            channel: (0.1 * power * (1.0 if channel == main else 0.05) * decay).astype(np.float32)
            for channel in CHANNELS
        }
        hits.append(Hit(power, channels))
    return Instrument(name, PIECES[name], tuple(hits), (main,))


@pytest.fixture(scope="module")
def kit() -> Kit:
    names = list(NOTES.values())
    instruments = {name: drum(name, index) for index, name in enumerate(names)}
    return Kit("test", RATE_HZ, CHANNELS, instruments, NOTES, "CC0")


@pytest.fixture(scope="module")
def rendering(kit: Kit) -> Rendering:
    strokes = [PerformedHit(0.12 * n, note, 120) for n, note in enumerate([*NOTES, *NOTES])]
    return render_performance(kit, strokes, rng=np.random.default_rng(0), tail_s=0.4)


@pytest.fixture(scope="module")
def studio(kit: Kit) -> Studio:
    return Studio.for_kit(kit)


@pytest.fixture(scope="module")
def taste() -> Taste:
    # The session is short and its drums take turns: the bus has to be told to do something.
    drawn = Taste.draw(np.random.default_rng(1))
    return replace(drawn, bus_threshold_db=-24.0, limiter_ceiling_db=-12.0)


@pytest.fixture(scope="module")
def mixes(rendering: Rendering, studio: Studio, taste: Taste) -> ReferenceMixes:
    return mix_reference(rendering, studio, taste)


def scaled(rendering: Rendering, gain: float) -> Rendering:
    return replace(
        rendering,
        microphones={c: np.float32(gain) * s for c, s in rendering.microphones.items()},
        clean={piece: np.float32(gain) * s for piece, s in rendering.clean.items()},
    )


def only(rendering: Rendering, *channels: str) -> Rendering:
    """The session with all microphones but these unplugged."""
    return replace(
        rendering,
        microphones={
            name: samples if name in channels else np.zeros_like(samples)
            for name, samples in rendering.microphones.items()
        },
    )


def changed(values: Mapping[Role, float], role: Role, by: float) -> dict[Role, float]:
    return {**values, role: values[role] + by}


def change_of(taste: Taste, name: str) -> Any:
    """Another value for a field, a just noticeable step or so away."""
    value = getattr(taste, name)
    if name in ("faders_db", "pans"):
        return changed(value, Role.SNARE, 0.3)
    return "drummer" if name == "perspective" else value * 1.2


@pytest.mark.parametrize("target", ["dry", "wet"])
def test_one_mix_alone_is_that_of_both_to_the_bit(
    target: Target, rendering: Rendering, studio: Studio, taste: Taste, mixes: ReferenceMixes
) -> None:
    stems, mix = mix_target(rendering, studio, taste, target)
    assert np.array_equal(stems, mixes.stems)
    assert np.array_equal(mix, mixes.dry if target == "dry" else mixes.wet)


FIELDS = [field.name for field in fields(Taste)]
DRY_FIELDS = {"faders_db", "pans", "perspective", "overhead_shelf_db", "hihat_shelf_db"}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_a_taste_changes_the_wet_mix(
    name: str, rendering: Rendering, studio: Studio, taste: Taste, mixes: ReferenceMixes
) -> None:
    other = mix_reference(rendering, studio, replace(taste, **{name: change_of(taste, name)}))
    difference_db = rms_dbfs(other.wet - mixes.wet) - rms_dbfs(mixes.wet)
    # An inaudible change would be a field that does nothing.
    assert difference_db > -60.0
    if name in DRY_FIELDS:
        assert rms_dbfs(other.dry - mixes.dry) - rms_dbfs(mixes.dry) > -60.0
    else:
        np.testing.assert_array_equal(other.dry, mixes.dry)
    np.testing.assert_array_equal(other.stems, mixes.stems)


@pytest.mark.parametrize("role", PAPER_ROLES, ids=str)
@pytest.mark.parametrize("name", ["faders_db", "pans"])
def test_every_fader_and_pan_moves_its_microphone(
    name: str,
    role: Role,
    rendering: Rendering,
    studio: Studio,
    taste: Taste,
    mixes: ReferenceMixes,
) -> None:
    step = -0.5 if role is Role.OVERHEAD_LEFT else 0.5
    other = replace(taste, **{name: changed(getattr(taste, name), role, step)})
    assert not np.array_equal(mix_reference(rendering, studio, other).dry, mixes.dry)


@pytest.mark.parametrize("gain", [0.25, 2.0, 8.0])
def test_how_hard_a_session_was_played_is_taken_back_by_the_preamps(
    gain: float, rendering: Rendering, studio: Studio, taste: Taste, mixes: ReferenceMixes
) -> None:
    louder = mix_reference(scaled(rendering, gain), studio, taste)
    for name in ("stems", "dry", "wet"):
        np.testing.assert_allclose(getattr(louder, name), getattr(mixes, name), atol=1e-6)


def test_stems_are_at_the_levels_that_a_mixer_sets(mixes: ReferenceMixes) -> None:
    gains = staged_gains(mixes.stems, PAPER_ROLES, RATE_HZ)
    np.testing.assert_allclose(gains, 1.0, atol=1e-5)


def test_dry_mix_is_the_sum_of_the_dry_mixes_of_its_microphones(
    rendering: Rendering, studio: Studio, taste: Taste, mixes: ReferenceMixes
) -> None:
    alone = [mix_reference(only(rendering, name), studio, taste).dry for name in CHANNELS]
    # float32 rounds each of the eight to 24 bits of at most full scale.
    np.testing.assert_allclose(np.sum(alone, axis=0), mixes.dry, atol=1e-6)


def test_close_drums_of_the_dry_mix_have_no_tone_of_their_own(
    rendering: Rendering, studio: Studio, taste: Taste
) -> None:
    mix = mix_reference(only(rendering, "Kick"), studio, taste)
    kick = mix.stems[PAPER_ROLES.index(Role.KICK)]
    # Fader, centre (-3.01 dB in each channel) and the 3 dB of room below full scale.
    gain = db_to_gain(taste.faders_db[Role.KICK] - 3.0) * np.sqrt(0.5)
    np.testing.assert_allclose(mix.dry, np.stack([gain * kick] * 2), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("channel", "frequency_hz", "field"),
    [("OHL", 16_000, "overhead_shelf_db"), ("Hat", 16_000, "hihat_shelf_db")],
)
def test_cymbals_are_lifted_by_their_shelf(
    channel: str,
    frequency_hz: float,
    field: str,
    rendering: Rendering,
    studio: Studio,
    taste: Taste,
) -> None:
    role = {"OHL": Role.OVERHEAD_LEFT, "Hat": Role.HIHAT}[channel]
    mix = mix_reference(only(rendering, channel), studio, taste)
    stem = mix.stems[PAPER_ROLES.index(role)]
    louder = mix.dry[np.argmax(np.max(np.abs(mix.dry), axis=1))]
    gain_db = level_near(louder, frequency_hz) - level_near(stem, frequency_hz)
    flat_db = level_near(louder, 500.0) - level_near(stem, 500.0)
    # The shelf has its whole gain an octave above its corner, but for 1 dB.
    assert gain_db - flat_db == pytest.approx(getattr(taste, field), abs=1.0)


def level_near(samples: FloatArray, frequency_hz: float) -> float:
    """Level within a third of an octave."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    width = 2.0 ** (1 / 6)
    band = (frequencies > frequency_hz / width) & (frequencies < frequency_hz * width)
    return float(10 * np.log10(np.mean(power[band])))


def test_drummers_perspective_is_the_audiences_mirrored(
    rendering: Rendering, studio: Studio, taste: Taste
) -> None:
    drummer = replace(taste, perspective="drummer")
    one, other = (mix_reference(rendering, studio, view) for view in (taste, drummer))
    np.testing.assert_allclose(other.dry, one.dry[::-1], atol=1e-6)
    np.testing.assert_allclose(other.wet, one.wet[::-1], atol=1e-5)
    assert not np.allclose(other.dry, one.dry, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_audience_sees_the_hihat_right_of_the_floor_tom(
    seed: int, rendering: Rendering, studio: Studio
) -> None:
    taste = Taste.draw(np.random.default_rng(seed))

    def right_less_left_db(channel: str) -> float:
        left, right = mix_reference(only(rendering, channel), studio, taste).dry
        return rms_dbfs(right) - rms_dbfs(left)

    assert right_less_left_db("Hat") > 3.0
    assert right_less_left_db("Tom3") < -3.0
    # The left overhead, over the hi-hat, is on the audience's right.
    assert right_less_left_db("OHL") > 6.0


@pytest.mark.parametrize("ceiling_db", [-1.0, -6.0, -20.0])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_wet_mix_never_exceeds_its_ceiling(
    ceiling_db: float, gain: float, rendering: Rendering, studio: Studio, taste: Taste
) -> None:
    limited = replace(taste, limiter_ceiling_db=ceiling_db)
    wet = mix_reference(scaled(rendering, gain), studio, limited).wet
    assert float(np.max(np.abs(wet))) <= db_to_gain(ceiling_db)


def bare(taste: Taste) -> Taste:
    """A wet mix that does nothing but gate and equalise."""
    return replace(
        taste,
        close_ratio=1.0,
        parallel_share=0.0,
        plate_db=-120.0,
        bus_ratio=1.0,
        limiter_ceiling_db=0.0,
    )


def test_gate_turns_bleed_down_between_hits_by_its_range(kit: Kit, taste: Taste) -> None:
    strokes = [PerformedHit(0.0, 38, 127), PerformedHit(1.5, 36, 127)]
    rng = np.random.default_rng(0)
    session = only(render_performance(kit, strokes, rng=rng, lead_s=0.1, tail_s=0.4), "Snare")
    studio = Studio.for_kit(kit)
    closed, opened = (
        mix_reference(session, studio, replace(bare(taste), gate_range_db=range_db)).wet
        for range_db in (12.0, 0.0)
    )
    [snare_at], [kick_at] = session.onsets(Piece.SNARE), session.onsets(Piece.KICK)
    snare, kick = slice(snare_at, snare_at + 5000), slice(kick_at, None)
    # Five attacks before the onset the gate is 99.3% open; the filters carry a little more over.
    np.testing.assert_allclose(closed[:, snare], opened[:, snare], rtol=0.01, atol=1e-4)
    assert rms_dbfs(closed[:, kick]) - rms_dbfs(opened[:, kick]) == pytest.approx(-12.0, abs=0.05)


def test_compressor_of_a_drum_does_not_hear_the_others(kit: Kit, taste: Taste) -> None:
    rng = np.random.default_rng(7)
    session = render_performance(kit, [PerformedHit(0.5, 38, 127)], rng=rng, lead_s=0.0)
    session = only(session, "Snare")
    # Something loud in the snare's microphone that ends 20 ms before the snare: a compressor that
    # heard it would still be turned down, as it lets go in 100 ms.
    [onset] = session.onsets(Piece.SNARE)
    loud = session.microphones["Snare"].copy()
    loud[onset - 6000 : onset - 900] = 0.05 * np.sin(np.arange(5100) * 2 * np.pi * 2000 / RATE_HZ)
    beside = replace(session, microphones={**session.microphones, "Snare": loud})
    heavy = replace(bare(taste), close_ratio=3.0, close_over_db=20.0, gate_range_db=0.0)
    studio = Studio.for_kit(kit)
    attack = slice(onset, onset + 200)
    levels_dbfs = [
        rms_dbfs(mix_reference(heard, studio, heavy).wet[:, attack]) for heard in (session, beside)
    ]
    # What is left is the ringing of the snare's EQ.
    assert levels_dbfs[0] == pytest.approx(levels_dbfs[1], abs=0.05)


def test_a_drawn_taste_lies_in_the_stated_ranges_and_pairs_agree() -> None:
    for seed in range(20):
        taste = Taste.draw(np.random.default_rng(seed))
        for name, (low, high) in RANGES.items():
            assert low <= getattr(taste, name) <= high, name
        for role in PAPER_ROLES:
            assert FADERS_DB[role][0] <= taste.faders_db[role] <= FADERS_DB[role][1]
            assert PANS[role][0] <= taste.pans[role] <= PANS[role][1]
        toms = {taste.faders_db[role] for role in CLOSE_ROLES if "tom" in role}
        overheads = {taste.faders_db[role] for role in PAPER_ROLES if "overhead" in role}
        assert (len(toms), len(overheads)) == (1, 1)


def test_a_seed_is_an_engineer() -> None:
    first, again, other = (Taste.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert Taste.draw(np.random.default_rng(1), perspective="drummer") == replace(
        first, perspective="drummer"
    )


def test_engineer_1_keeps_the_taste_that_corpora_were_made_with() -> None:
    taste = Taste.draw(np.random.default_rng(1))
    # As in the corpus.json of corpora rendered so far: another order of draws is another engineer.
    assert taste.faders_db[Role.KICK] == -1.976
    assert taste.pans[Role.TOM_LOW] == -0.434
    assert taste.overhead_shelf_db == 7.402
    assert taste.plate_decay == 0.298
    assert taste.bus_threshold_db == -13.835


def test_a_taste_is_plain_data() -> None:
    taste = Taste.draw(np.random.default_rng(1))
    plain = json.loads(json.dumps(taste.to_mapping()))
    assert set(plain) == set(FIELDS)
    assert plain["faders_db"]["tom_mid_low"] == taste.faders_db[Role.TOM_MID_LOW]


def octave_levels_db(mix: FloatArray) -> np.ndarray:
    power = np.sum(np.abs(np.fft.rfft(mix, axis=1)) ** 2, axis=0)
    frequencies = np.fft.rfftfreq(mix.shape[1], 1 / RATE_HZ)
    centres = 62.5 * 2.0 ** np.arange(8)
    bands = [(frequencies >= c / 2**0.5) & (frequencies < c * 2**0.5) for c in centres]
    return np.array([gain_to_db(np.sqrt(np.sum(power[band]))) for band in bands])


def test_mixes_of_a_real_session_measure_like_a_humans() -> None:
    folder, groove = DATA / "kits" / "muldjord", DATA / "groove" / "drummer1" / "eval_session"
    if not (folder.is_dir() and groove.is_dir()):
        pytest.skip("kit and grooves are not here; set DRUMMIX_DATA to the folder of both")
    hits = read_midi(groove / "1_funk-groove1_138_beat_4-4.mid")
    performance = [hit for hit in hits if hit.time_s < 14.0]
    kit = read_kit(folder, max_hits=4)
    session = render_performance(kit, performance, rng=np.random.default_rng(0))
    mixes = mix_reference(session, Studio.for_kit(kit), Taste.draw(np.random.default_rng(1)))
    # Figures of human mixes of nine ENST-Drums loops.
    assert 18.0 <= crest_db(mixes.dry) <= 27.0
    assert 17.0 <= crest_db(mixes.wet) <= 25.0
    for mix in (mixes.dry, mixes.wet):
        assert 0.86 <= np.corrcoef(mix)[0, 1] <= 0.98
    octaves_db = octave_levels_db(mixes.wet) - octave_levels_db(mixes.dry)
    assert np.max(np.abs(octaves_db - np.median(octaves_db))) <= 3.0
    assert peak_dbfs(mixes.wet) <= -1.0


def test_docs_state_the_ranges_that_are_drawn() -> None:
    page = (REPO / "docs" / "corpus.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]

    def is_stated(values: tuple[float, float], *words: str) -> bool:
        text = f"{values[0]:g} to {values[1]:g}"
        return any(text in row and all(word in row for word in words) for row in rows)

    words_of = {
        "overhead_shelf_db": ("overheads", "shelf at 7.5 kHz"),
        "hihat_shelf_db": ("hi-hat", "shelf at 8 kHz"),
        "gate_range_db": ("gate", "range"),
        "close_ratio": ("compressor", "ratio"),
        "close_over_db": ("compressor", "threshold"),
        "parallel_share": ("parallel bus", "share"),
        "plate_db": ("plate", "return"),
        "plate_decay": ("plate", "decay"),
        "predelay_ms": ("plate", "pre-delay"),
        "bus_ratio": ("bus compressor", "ratio"),
        "bus_threshold_db": ("bus compressor", "threshold"),
        "master_drive_db": ("limiter", "drive"),
        "plate_size": ("plate", "size"),
    }
    assert [name for name, limits in RANGES.items() if not is_stated(limits, *words_of[name])] == []
    for role, name in ((Role.KICK, "kick"), (Role.SNARE, "snare"), (Role.HIHAT, "hi-hat")):
        assert is_stated(FADERS_DB[role], name)
    for role, name in ((Role.TOM_MID, "mid"), (Role.TOM_MID_LOW, "mid-low"), (Role.TOM_LOW, "low")):
        assert is_stated(PANS[role], f"tom, {name}")
