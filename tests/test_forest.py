"""The random-forest baseline: features, trees as arrays, growing, dry and wet mixes."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import convolve

from drummix.audio import Audio, resample
from drummix.corpus.patterns import pattern_hits
from drummix.effects.dynamics import compress
from drummix.effects.plate import plate
from drummix.effects.tempo import tail_s, tempo_bpm
from drummix.errors import WeightsError
from drummix.evaluation.systems import model_of, weights_by_system
from drummix.levels import db_to_gain, rms_dbfs
from drummix.mixers.forest.envelope import Envelope, add_power
from drummix.mixers.forest.features import FEATURES, Measuring
from drummix.mixers.forest.mixer import ForestMixer
from drummix.mixers.forest.trees import OUTPUTS, SHIPPED, Forest, read_forest, write_forest
from drummix.mixers.forest.wet import HeardMix, WetEffects, apply_wet, decide_wet, measure_mix
from drummix.mixers.registry import make_mixer
from drummix.roles import PAPER_ROLES, Role
from drummix.session import open_session

RATE_HZ = 44_100
LOUD = list(FEATURES).index("loud_db")


def strokes(times_s, length_s=4.0, pitch_hz=200.0):
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for start_s in times_s:
        since = np.maximum(time_s - start_s, 0.0)
        sound += (time_s >= start_s) * np.exp(-30 * since) * np.cos(2 * np.pi * pitch_hz * since)
    return (0.5 * sound).astype(np.float32)


def measured(stems, roles, block=10_000):
    measuring = Measuring(roles, RATE_HZ)
    for start in range(0, stems.shape[1], block):
        measuring.add(stems[:, start : start + block])
    return measuring.result()


def level_forest():
    """One tree: a stem with strokes over -20 dBFS gets -12 dB, else 0 dB; 6 lower on the left."""
    return Forest(
        roots=np.array([0], np.int32),
        feature=np.array([LOUD, -1, -1], np.int16),
        threshold=np.array([-20.0, 0, 0], np.float32),
        children=np.array([[1, 2], [-1, -1], [-1, -1]], np.int32),
        value=np.array([[0, 0, 0], [-6, 0, -3], [-18, -12, -15]], np.float16),
        card={"metrics": {}, "sha256": "0" * 64},
    )


def session(n_samples=RATE_HZ * 2, gain=1.0):
    rng = np.random.default_rng(3)
    return open_session(
        {
            role.value: Audio(
                np.float32(gain) * rng.uniform(-0.5, 0.5, (1, n_samples)).astype(np.float32),
                RATE_HZ,
            )
            for role in PAPER_ROLES
        }
    )


# Features.


@pytest.mark.parametrize("changed_db", [-12.0, 6.0])
def test_a_louder_recording_moves_levels_by_its_gain_and_nothing_else(changed_db):
    stems = np.stack([strokes([0.5, 1.5]), strokes([1.0, 3.0], pitch_hz=90.0)])
    roles = (Role.SNARE, Role.KICK)
    before = measured(stems, roles)
    louder = measured(stems * np.float32(db_to_gain(changed_db)), roles).rows()
    np.testing.assert_allclose(louder, before.at_gains(np.full(2, changed_db)).rows(), atol=2e-3)
    same = [i for i, name in enumerate(FEATURES) if name not in ("loud_db", "rms_db", "peak_db")]
    np.testing.assert_allclose(louder[:, same], before.rows()[:, same], atol=2e-3)


@pytest.mark.parametrize("block", [441, 4096, 7777])
def test_features_do_not_depend_on_the_block_size(block):
    stems = np.stack([strokes([0.5, 1.5]), strokes([1.0, 3.0], pitch_hz=90.0)])
    roles = (Role.SNARE, Role.KICK)
    np.testing.assert_allclose(
        measured(stems, roles, block).rows(), measured(stems, roles, 10**6).rows(), atol=1e-4
    )


@pytest.mark.parametrize("block", [100, 441, 5000, 10**6])
@pytest.mark.parametrize("n_samples", [0, 100, 882, 20_000])
def test_envelope_is_the_peak_and_the_energy_of_each_10_ms(n_samples, block):
    samples = np.random.default_rng(4).uniform(-1, 1, (3, n_samples)).astype(np.float32)
    envelope = Envelope(3)
    for start in range(0, n_samples, block):
        envelope.add(samples[:, start : start + block])
    n_pieces = -(-n_samples // 441)
    pieces = np.pad(samples, ((0, 0), (0, 441 * n_pieces - n_samples))).reshape(3, n_pieces, 441)
    np.testing.assert_array_equal(envelope.peaks(), np.abs(pieces).max(axis=2, initial=0.0))
    expected = np.square(pieces, dtype=np.float64).sum(axis=2)
    np.testing.assert_allclose(envelope.energies(), expected, rtol=1e-12)


@pytest.mark.parametrize("rate_hz", [48_000, 96_000])
def test_features_and_effects_hardly_depend_on_the_rate(rate_hz):
    """Wires and cymbals have other peaks of samples at another rate."""
    attack = np.hanning(441)[np.newaxis] / 220.0
    envelopes = np.stack(
        [strokes([0.1, 0.5, 1.5], pitch_hz=0.0), strokes([1.0, 3.0], pitch_hz=0.0)]
    )
    envelopes = convolve(envelopes, attack)[:, : envelopes.shape[1]]
    noise = np.random.default_rng(0).uniform(-1, 1, envelopes.shape)
    # Below 18 kHz, which every rate has.
    stems = resample(resample(envelopes * noise, RATE_HZ, 40_000), 40_000, RATE_HZ)
    roles = (Role.SNARE, Role.KICK)
    rows, heard = [], []
    for one_hz in (RATE_HZ, rate_hz):
        sounds = resample(stems, RATE_HZ, one_hz)
        measuring = Measuring(roles, one_hz)
        measuring.add(sounds)
        rows.append(measuring.result().rows())
        heard.append(measure_mix(iter([sounds]), one_hz))
    # Flatness alone hears the end of the resampler's pass band.
    same = [i for i, name in enumerate(FEATURES) if name != "flatness_db"]
    np.testing.assert_allclose(rows[1][:, same], rows[0][:, same], atol=0.25)
    assert heard[1].rms_db == pytest.approx(heard[0].rms_db, abs=0.01)
    assert heard[1].peak_db == pytest.approx(heard[0].peak_db, abs=0.01)
    assert heard[1].tail_s == pytest.approx(heard[0].tail_s, abs=0.01)


SILENCES = [(30 * RATE_HZ, 0), (0, 30 * RATE_HZ), (12_345, 6_789)]


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("hiss", [0.0, 1e-5])
def test_silence_before_and_behind_is_no_part_of_the_features(silence, hiss):
    stems = np.stack([strokes([0.0, 0.5, 1.5]), strokes([1.0, 3.0], pitch_hz=90.0)])
    roles = (Role.SNARE, Role.KICK)
    longer = np.pad(stems, ((0, 0), silence))
    longer += np.float32(hiss) * np.random.default_rng(0).uniform(-1, 1, longer.shape)
    rows = [measured(one.astype(np.float32), roles).rows() for one in (stems, longer)]
    # Flatness alone hears a hiss where a sine has nothing.
    same = [i for i, name in enumerate(FEATURES) if not hiss or name != "flatness_db"]
    atol = 0.02 if hiss else 1e-4
    np.testing.assert_allclose(rows[1][:, same], rows[0][:, same], atol=atol)


@pytest.mark.parametrize("silence", SILENCES)
def test_silence_before_and_behind_is_no_part_of_what_a_wet_mix_is_set_by(silence):
    mix = np.stack([strokes(np.arange(0.0, 7.5, 0.5), length_s=8.0)] * 2)
    rng = np.random.default_rng(1)
    mix += 0.01 * strokes(np.arange(0.0, 7.5, 0.25), 8.0, 3000.0) * rng.uniform(-1, 1, mix.shape)
    heard = [
        measure_mix(iter([one.astype(np.float32)]), RATE_HZ)
        for one in (mix, np.pad(mix, ((0, 0), silence)))
    ]
    assert heard[1].rms_db == pytest.approx(heard[0].rms_db, abs=1e-3)
    assert (heard[1].peak_db, heard[1].bpm) == (heard[0].peak_db, heard[0].bpm)
    assert heard[1].tail_s == pytest.approx(heard[0].tail_s, abs=1e-6)


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("wet", [None, "sane", "paper"])
def test_silence_before_and_behind_leaves_a_forest_s_mix_as_it_is(silence, wet):
    rng = np.random.default_rng(3)
    takes = rng.uniform(-0.5, 0.5, (8, 4 * RATE_HZ)) * strokes(np.arange(0.0, 3.6, 0.5))
    mixer = ForestMixer("forest", level_forest(), wet=wet)

    def mixed(stems):
        sounds = {
            role.value: Audio(stem[np.newaxis].astype(np.float32), RATE_HZ)
            for role, stem in zip(PAPER_ROLES, stems, strict=True)
        }
        return np.concatenate(list(mixer.plan(open_session(sounds)).blocks()), axis=1)

    short = mixed(takes)
    long = mixed(np.pad(takes, ((0, 0), silence)))[:, silence[0] :][:, : short.shape[1]]
    assert rms_dbfs(long - short) < -100.0


def test_power_of_spectra_is_added_line_by_line():
    rng = np.random.default_rng(6)
    lines = rng.uniform(-1, 1, (7, 5)) + 1j * rng.uniform(-1, 1, (7, 5))
    power = np.ones(5)
    add_power(lines.astype(np.complex64), power)
    np.testing.assert_allclose(power, 1 + (np.abs(lines) ** 2).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("pitch_hz", [100.0, 1000.0, 4000.0])
def test_centroid_of_a_sine_is_its_pitch_and_its_band_holds_everything(pitch_hz):
    time_s = np.arange(RATE_HZ) / RATE_HZ
    sine = 0.5 * np.sin(2 * np.pi * pitch_hz * time_s, dtype=np.float32)[np.newaxis]
    row = dict(
        zip(FEATURES, measured(sine.astype(np.float32), [Role.SNARE]).rows()[0], strict=True)
    )
    assert row["centroid_octaves"] == pytest.approx(np.log2(pitch_hz / 1000), abs=0.02)
    bands = [name for name in FEATURES if name.startswith("band_")]
    assert max(row[name] for name in bands) == pytest.approx(0.0, abs=0.01)
    assert row["rms_db"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert row["crest_db"] == pytest.approx(3.01, abs=0.01)
    assert row["is_snare"] == 1.0
    assert row["is_kick"] == 0.0


# Trees as arrays.


def test_a_tree_sends_each_row_to_its_leaf():
    rows = np.zeros((3, len(FEATURES)), np.float32)
    rows[:, LOUD] = [-30.0, -20.0, -10.0]
    np.testing.assert_allclose(
        level_forest().predict(rows), [[-6, 0, -3], [-6, 0, -3], [-18, -12, -15]]
    )


def test_a_written_forest_is_read_back(tmp_path):
    forest = read_forest(write_forest(tmp_path / "f", level_forest()))
    rows = np.zeros((2, len(FEATURES)), np.float32)
    np.testing.assert_array_equal(forest.predict(rows), level_forest().predict(rows))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("children", [[0, 2], [-1, -1], [-1, -1]]),
        ("children", [[1, 9], [-1, -1], [-1, -1]]),
        ("feature", [9999, -1, -1]),
        ("roots", [7]),
        ("value", [[np.nan] * 3] * 3),
    ],
)
def test_a_forest_that_would_loop_or_reach_outside_is_refused(tmp_path, name, value):
    broken = level_forest()
    changed = np.array(value, getattr(broken, name).dtype)
    fields = {field: getattr(broken, field) for field in broken.__dataclass_fields__}
    folder = write_forest(tmp_path, Forest(**{**fields, name: changed}))
    with pytest.raises(WeightsError, match="whole trees"):
        read_forest(folder)


def test_damaged_and_missing_forests_are_one_clear_line(tmp_path):
    with pytest.raises(WeightsError, match="train-forest"):
        read_forest(tmp_path)
    folder = write_forest(tmp_path, level_forest())
    stored = bytearray((folder / "model.safetensors").read_bytes())
    stored[-1] ^= 1
    (folder / "model.safetensors").write_bytes(stored)
    with pytest.raises(WeightsError, match="not the file that its card names"):
        read_forest(folder)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "features": ["loudness"]}))
    with pytest.raises(WeightsError, match="other features"):
        read_forest(folder)


# Mixers.


def test_mix_is_the_stems_at_the_predicted_gains():
    takes = session()
    stems = takes.read()
    [mix] = [
        np.concatenate(list(ForestMixer("forest-dry", level_forest()).plan(takes).blocks()), axis=1)
    ]
    gains = db_to_gain(np.array([-18.0, -12.0]))
    np.testing.assert_allclose(mix, np.outer(gains, stems.sum(axis=0)), atol=1e-5)


def test_mono_profile_gives_both_channels_one_gain():
    mixer = ForestMixer("forest-mono-dry", level_forest(), is_mono=True)
    plan = mixer.plan(session())
    left, right = np.concatenate(list(plan.blocks()), axis=1)
    np.testing.assert_array_equal(left, right)
    assert {gain["left_db"] for gain in plan.settings["gains"]} == {-15.0}


def test_silent_stems_get_no_gain():
    rng = np.random.default_rng(0)
    takes = open_session(
        {
            "kick": Audio(rng.uniform(-1, 1, (1, 9000)).astype(np.float32), RATE_HZ),
            "snare": Audio(np.zeros((1, 9000), np.float32), RATE_HZ),
        }
    )
    plan = ForestMixer("forest-dry", level_forest()).plan(takes)
    assert [gain["input"] for gain in plan.settings["gains"]] == ["kick"]


@pytest.mark.parametrize("profile", ["sane", "paper", "as-heard"])
def test_wet_mix_of_any_blocks_is_the_same(profile):
    rng = np.random.default_rng(1)
    mix = rng.uniform(-0.3, 0.3, (2, 30 * RATE_HZ)).astype(np.float32)
    effects = decide_wet(HeardMix(-8.0, -26.0, 120.0, 0.1), profile)
    wet = [
        np.concatenate(
            list(
                apply_wet(
                    (
                        mix[:, a:b]
                        for a, b in pairwise([*range(0, mix.shape[1], size), mix.shape[1]])
                    ),
                    RATE_HZ,
                    effects,
                )
            ),
            axis=1,
        )
        for size in (100_000, 10**7)
    ]
    np.testing.assert_array_equal(wet[0], wet[1])
    assert wet[0].shape == mix.shape


@pytest.mark.parametrize("profile", ["sane", "as-heard"])
def test_wet_mix_is_both_effects_on_the_whole(profile):
    mix = np.random.default_rng(2).uniform(-0.3, 0.3, (2, 25 * RATE_HZ)).astype(np.float32)
    effects = decide_wet(HeardMix(-8.0, -26.0, 120.0, 0.1), profile)
    blocks = (mix[:, start : start + 100_000] for start in range(0, mix.shape[1], 100_000))
    wet = np.concatenate(list(apply_wet(blocks, RATE_HZ, effects)), axis=1)
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_db")
    direct = compress(mix, RATE_HZ, **{name: getattr(effects, name) for name in names})
    names = ("decay", "damping", "predelay_ms", "high_cut_hz")
    settings = {name: getattr(effects, name) for name in names}
    returned = plate(direct, RATE_HZ, excursion_samples=0.0, **settings)
    # At no place either: until it was one stream, a wet mix clicked every 20 s.
    np.testing.assert_allclose(
        wet, effects.direct_gain * direct + effects.plate_gain * returned, atol=1e-6
    )


def test_profiles_differ_and_follow_their_rules():
    heard = HeardMix(peak_db=-6.0, rms_db=-27.0, bpm=120.0, tail_s=0.15)
    sane, paper, as_heard = (decide_wet(heard, p) for p in ("sane", "paper", "as-heard"))
    # The published rules: threshold at the RMS, ratio the linear crest factor, attack the tail,
    # release what is left of a beat.
    assert paper.threshold_db == -27.0
    assert paper.ratio == pytest.approx(10 ** (21 / 20))
    assert (paper.attack_ms, paper.release_ms) == (pytest.approx(150.0), pytest.approx(350.0))
    assert paper.direct_gain == pytest.approx(10 ** (-9 / 20))
    # 0.5 s, 0.25, 0.125, 62.5 ms, 31.25 ms: the shortest of 30 ms or more.
    assert paper.predelay_ms == sane.predelay_ms == pytest.approx(31.25)
    assert sane.ratio == 4.5
    assert as_heard.decay == 0.5
    assert len({sane.plate_gain, paper.plate_gain, as_heard.plate_gain}) == 3


@pytest.mark.parametrize(("crest_db", "ratio"), [(3.0, 2.0), (12.0, 3.0), (60.0, 8.0)])
def test_sane_ratio_grows_with_the_crest_factor_from_2_to_8(crest_db, ratio):
    assert decide_wet(HeardMix(-6.0, -6.0 - crest_db, None, 0.1), "sane").ratio == ratio


def test_wet_mix_has_a_tail_where_the_dry_one_is_silent():
    mix = np.zeros((2, 2 * RATE_HZ), np.float32)
    mix[:, :2000] = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    effects = decide_wet(measure_mix(iter([mix]), RATE_HZ), "sane")
    wet = np.concatenate(list(apply_wet(iter([mix]), RATE_HZ, effects)), axis=1)
    assert -70.0 < rms_dbfs(wet[:, RATE_HZ // 4 : RATE_HZ // 2]) < -30.0
    assert isinstance(effects, WetEffects)


def test_silence_stays_silence_in_a_wet_mix():
    silent = np.zeros((2, 50_000), np.float32)
    effects = decide_wet(measure_mix(iter([silent]), RATE_HZ), "paper")
    wet = np.concatenate(list(apply_wet(iter([silent]), RATE_HZ, effects)), axis=1)
    assert wet.shape == silent.shape
    assert not wet.any()


# Tempo and tail.


@pytest.mark.parametrize("bpm", [72.0, 96.0, 120.0, 138.0, 170.0])
def test_tempo_of_a_backbeat_is_found(bpm):
    beat_s = 60.0 / bpm
    time_s = np.arange(0, 20, 0.01)
    peaks = np.full(len(time_s), 1e-3)
    for beat in range(int(20 / beat_s)):
        level = 1.0 if beat % 2 else 0.8
        for offset, strength in ((0.0, level), (0.5, 0.1)):
            since = time_s - (beat + offset) * beat_s
            peaks = np.maximum(peaks, (since >= 0) * strength * np.exp(-since / 0.05))
    found = tempo_bpm(peaks, 100.0)
    # A backbeat repeats every two beats as well: far from usual tempi that may win.
    octaves = round(np.log2(found / bpm)) if not 90 < bpm < 150 else 0
    assert found == pytest.approx(bpm * 2.0**octaves, rel=0.02)


@pytest.mark.parametrize("bpm", [60.0, 70.0, 80.0, 90.0, 120.0, 150.0, 180.0, 200.0])
def test_tempo_of_a_rock_groove_is_a_simple_fraction_of_the_beat_as_the_docs_say(bpm):
    hits = pattern_hits("rock", bars=8, bpm=bpm, rng=np.random.default_rng(1))
    peaks = np.zeros(round(100 * (hits[-1].time_s + 2.0)))
    for hit in hits:
        at = round(100 * hit.time_s)
        peaks[at : at + 20] += hit.velocity * np.exp(-0.3 * np.arange(20))
    found = tempo_bpm(peaks, 100.0)
    assert min(abs(found / bpm / of - 1.0) for of in (1 / 2, 2 / 3, 1, 2)) < 0.02
    assert 75.0 < found < 150.0


def test_no_tempo_in_silence_in_little_audio_and_in_a_single_stroke():
    assert tempo_bpm(np.zeros(5000), 100.0) is None
    assert tempo_bpm(np.ones(100), 100.0) is None
    assert tempo_bpm(np.array([1.0, *np.zeros(4999)]), 100.0) is None


def test_tail_is_the_mean_time_within_20_db():
    peaks = np.zeros(1000)
    peaks[100:130], peaks[500:550] = 1.0, 0.2
    assert tail_s(peaks, 100.0) == pytest.approx(0.4)
    assert tail_s(np.zeros(10), 100.0) == 0.1


# Growing, and the shipped forest.


def test_a_grown_forest_undoes_preamp_gains(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="growing a forest needs drummix[train]")
    from drummix import forest as growing

    def item(seed):
        rng = np.random.default_rng(seed)
        stems = np.stack([strokes(rng.uniform(0, 3.5, 5), pitch_hz=p) for p in range(80, 880, 100)])
        wanted_db = np.stack([np.linspace(-12, 0, 8), np.linspace(0, -12, 8)] * 2)[:3].T
        return growing.StemGains(measured(stems, PAPER_ROLES), wanted_db, np.ones(8, bool))

    settings = growing.ForestSettings(n_trees=20, n_leaves=400, n_recordings=20)
    rng = np.random.default_rng(0)
    rows, gains_db = growing._recordings([item(n) for n in range(12)], settings, rng)
    from sklearn.ensemble import RandomForestRegressor

    grower = RandomForestRegressor(n_estimators=20, max_leaf_nodes=400, max_features=0.5)
    grower.fit(rows, gains_db)
    arrays = read_forest(write_forest(tmp_path, growing._as_arrays(grower, {"metrics": {}})))
    np.testing.assert_allclose(arrays.predict(rows), grower.predict(rows), atol=0.01)
    new_rows, new_gains_db = growing._recordings([item(99)], settings, rng)
    error_db = arrays.predict(new_rows) - new_gains_db
    assert 1 - (error_db**2).sum() / ((new_gains_db - new_gains_db.mean(0)) ** 2).sum() > 0.9


def test_shipped_forest_is_whole_and_small_and_predicts_three_gains():
    forest = read_forest()
    rows = np.zeros((4, len(FEATURES)), np.float32)
    assert forest.predict(rows).shape == (4, len(OUTPUTS))
    assert (
        sum(getattr(forest, n).nbytes for n in ("feature", "threshold", "children", "value")) < 8e6
    )
    assert forest.card["metrics"]["r2_test"] > 0.9


@pytest.mark.parametrize(
    "system",
    ["forest-dry", "forest-wet", "forest-mono-dry", "forest-paper-wet", "forest-as-heard-wet"],
)
def test_every_forest_system_mixes_a_session(system):
    mixer, _ = make_mixer(system)
    plan = mixer.plan(session())
    mix = np.concatenate(list(plan.blocks()), axis=1)
    assert mix.shape == (2, RATE_HZ * 2)
    assert np.isfinite(mix).all()
    assert rms_dbfs(mix) > -60.0
    json.dumps(plan.settings, allow_nan=False)


def test_an_evaluation_knows_a_forest_by_its_checksum_and_its_systems_by_its_card():
    model = model_of("forest-wet", {})
    assert model.sha256 == read_forest().card["sha256"]
    assert model == model_of("forest-dry", {}) != model_of("waveunet-wet", {})
    assert weights_by_system([SHIPPED], ["forest-wet", "unity"]) == {"forest-wet": SHIPPED}
