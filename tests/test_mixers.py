"""Mixers: routes, segments, streams; the result never depends on how the stream is cut."""

import numpy as np
import pytest

import made
from drummix.audio import Audio, resample, resampled_length
from drummix.errors import SessionError, SettingError, WeightsError
from drummix.levels import gain_to_db
from drummix.mixers import base, weights
from drummix.mixers.anchor import AnchorMixer, mask_kernel
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.compute import Compute
from drummix.mixers.native import load_network
from drummix.mixers.rate import resample_blocks
from drummix.mixers.registry import SYSTEMS, MixerOptions, make_mixer, systems
from drummix.mixers.segments import even_segments, paper_segments, run_segments
from drummix.mixers.slots import FEEDS, route_stems
from drummix.mixers.streaming import ahead
from drummix.mixers.unity import UnityMixer
from drummix.mixers.waveunet import WaveUNetMixer
from drummix.mixers.weights import load_model, parameter_shapes, write_model
from drummix.notices import Code, Notice
from drummix.roles import LEFT_OUT_ROLES, PAPER_ROLES, Role
from drummix.session import open_session

RATE_HZ = 44_100
SMALL = WaveUNetConfig(levels=4, filters=3)


def random_tensors(config, seed=0):
    """Weights of a size that keeps the level from layer to layer."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in parameter_shapes(config).items():
        scale = np.sqrt(1.0 / np.prod(shape[1:])) if name.endswith("weight") else 0.01
        tensors[name] = rng.normal(size=shape, scale=scale).astype(np.float32)
    return tensors


def card(config=SMALL, **changes):
    return made.model_card(config, **changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return load_model(write_model(folder, "small", random_tensors(SMALL), card()))


def noise(n_samples, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal((1, n_samples), dtype=np.float32)


def make_session(roles, n_samples=4000, rate_hz=RATE_HZ):
    return open_session(
        {role: Audio(noise(n_samples, seed), rate_hz) for seed, role in enumerate(roles)}
    )


def paper_session(n_samples=4000, rate_hz=RATE_HZ):
    return make_session([role.value for role in PAPER_ROLES], n_samples, rate_hz)


def joined(plan):
    return np.concatenate(list(plan.blocks()), axis=1)


def relative_db(difference, reference):
    return gain_to_db(float(np.abs(difference).max() / np.abs(reference).max()), floor_db=-300.0)


def gains_of(roles, inputs=PAPER_ROLES):
    """Role and input -> gain of the routing matrix, for a session of the given roles."""
    session = make_session(roles, 10)
    matrix = route_stems(session.stems, inputs).matrix
    return {
        (stem.role.value, role.value): float(matrix[row, column])
        for column, stem in enumerate(session.stems)
        for row, role in enumerate(inputs)
        if matrix[row, column]
    }


# Routing of stems to inputs.


def test_the_papers_microphones_reach_their_own_inputs_unchanged():
    session = paper_session(10)
    routing = route_stems(session.stems, PAPER_ROLES)
    np.testing.assert_array_equal(routing.matrix, np.eye(8))
    assert routing.notices() == ()


@pytest.mark.parametrize(
    ("roles", "route", "gain_db"),
    [
        (["kick", "kick_out"], ("kick", "kick"), 0.0),
        (["kick", "kick_out"], ("kick_out", "kick"), -6.0),
        (["kick", "kick_sub"], ("kick_sub", "kick"), -9.0),
        (["kick_out", "kick_sub"], ("kick_out", "kick"), 0.0),
        (["kick_out", "kick_sub"], ("kick_sub", "kick"), -9.0),
        (["kick_sub"], ("kick_sub", "kick"), 0.0),
        (["overhead_mono"], ("overhead_mono", "overhead_left"), -3.0),
        (["overhead_mono"], ("overhead_mono", "overhead_right"), -3.0),
        (["overhead_left", "overhead_right", "room_left"], ("room_left", "overhead_left"), -9.0),
        (["overhead_left", "overhead_right", "room_mono"], ("room_mono", "overhead_left"), -12.0),
        (["kick", "room_mono"], ("room_mono", "overhead_right"), -3.0),
        (["kick", "room_left", "room_right"], ("room_right", "overhead_right"), 0.0),
        (["overhead_left", "overhead_right", "ride"], ("ride", "overhead_left"), -9.0),
        (["tom_mid", "tom_high"], ("tom_high", "tom_mid"), 0.0),
    ],
)
def test_each_rule_of_combination_has_its_documented_gain(roles, route, gain_db):
    assert gain_to_db(abs(gains_of(roles)[route])) == pytest.approx(gain_db, abs=1e-5)


def test_snare_bottom_is_turned_and_9_db_down_beside_the_top():
    gains = gains_of(["snare", "snare_bottom"])
    assert gains["snare", "snare"] == 1.0
    assert gains["snare_bottom", "snare"] == pytest.approx(-(10 ** (-9 / 20)))


def test_a_room_feeds_its_own_side_only():
    gains = gains_of(["overhead_left", "overhead_right", "room_left", "room_right"])
    assert ("room_left", "overhead_right") not in gains
    assert ("room_right", "overhead_left") not in gains


def test_every_role_that_is_mixed_reaches_an_input():
    for role in set(Role) - LEFT_OUT_ROLES:
        routing = route_stems(make_session([role.value], 10).stems, PAPER_ROLES)
        assert routing.unheard == (), role
        assert routing.matrix.any(), role


def test_every_role_without_an_input_has_a_rule():
    assert set(FEEDS) == set(Role) - LEFT_OUT_ROLES - set(PAPER_ROLES)


def test_what_is_combined_silent_or_unheard_is_said():
    session = make_session(["kick", "kick_out", "snare", "ride"], 10)
    routing = route_stems(session.stems, (Role.KICK, Role.SNARE, Role.HIHAT))
    combined, silent, unheard = routing.notices()
    assert (combined.code, combined.about) == (Code.INPUT_COMBINED, "kick")
    assert [(r["source"], r["gain_db"]) for r in combined.values["routes"]] == [
        ("kick", 0.0),
        ("kick_out", -6.0),
    ]
    assert silent == Notice(Code.INPUT_SILENT, "hihat")
    assert unheard == Notice(Code.STEM_UNHEARD, "ride", {"role": "ride"})
    assert routing.to_mapping()["unheard"] == ["ride"]


def test_a_microphone_with_an_input_of_its_own_feeds_no_other():
    gains = gains_of(["kick", "kick_out"], inputs=(Role.KICK, Role.KICK_OUT))
    assert gains == {("kick", "kick"): 1.0, ("kick_out", "kick_out"): 1.0}


# Segments.


def plain_network(config, model):
    network = load_network(model)

    def run(stems):
        assert stems.shape[1] == config.input_frames(config.bottleneck_frames(stems.shape[1]))
        return network(stems)

    return run


def one_pass(config, network, stems):
    """The whole stream in one run, zeros before and after."""
    n_samples = stems.shape[1]
    frames = 5
    while config.output_frames(config.input_frames(frames)) < n_samples:
        frames += 1
    n_after = config.input_frames(frames) - config.context_frames - n_samples
    return network(np.pad(stems, ((0, 0), (config.context_frames, n_after))))[:, :n_samples]


@pytest.mark.parametrize("n_samples", [1, 15, 16, 17, 1000, 4096, 4097])
@pytest.mark.parametrize("hop_frames", [16, 64, 1008])
def test_even_segments_join_to_one_long_pass(model, n_samples, hop_frames):
    network = plain_network(SMALL, model)
    stems = np.concatenate([noise(n_samples, seed) for seed in range(8)])
    blocks = iter(np.array_split(stems, max(1, n_samples // 300), axis=1))
    segments = even_segments(SMALL, n_samples, hop_frames)
    mix = np.concatenate(list(run_segments(segments, blocks, SMALL, network)), axis=1)
    expected = one_pass(SMALL, network, stems)
    assert mix.shape == (2, n_samples)
    assert relative_db(mix - expected, expected) < -120.0


def test_a_hop_off_the_decimation_grid_is_refused():
    with pytest.raises(SettingError, match="multiple of 16"):
        list(even_segments(SMALL, 100, 40))


def test_a_hop_off_the_decimation_grid_would_change_the_result(model):
    """Why the hop must be a multiple: half a decimation step off, the network sees other frames."""
    network = plain_network(SMALL, model)
    stems = np.concatenate([noise(2000, seed) for seed in range(8)])
    whole = one_pass(SMALL, network, stems)
    later = one_pass(SMALL, network, stems[:, 8:])
    inner = slice(SMALL.context_frames, 1500)
    assert relative_db(whole[:, 8:][:, inner] - later[:, inner], whole) > -60.0


def test_paper_segments_are_the_papers():
    config = WaveUNetConfig()
    segments = list(paper_segments(config, 200_000))
    assert [segment.start for segment in segments] == [0, 89_093, 200_000 - 89_093]
    assert [segment.n_kept for segment in segments] == [89_093, 21_814, 89_093]
    assert {config.input_frames(s.bottleneck_frames) for s in segments} == {121_843}


@pytest.mark.parametrize("n_samples", [1, 1000, 89_092, 89_093, 89_094, 178_186, 178_187])
def test_paper_segments_cover_every_sample_once(n_samples):
    end = 0
    for segment in paper_segments(WaveUNetConfig(), n_samples):
        assert segment.start == end
        assert 0 < segment.n_kept <= 89_093
        end += segment.n_kept
    assert end == n_samples


def test_paper_segments_reach_the_network_with_zeros_around_the_stream():
    config = WaveUNetConfig(levels=2, filters=1)
    stems = np.ones((8, 1000), dtype=np.float32)
    seen = []

    def network(segment):
        seen.append(segment.copy())
        return np.zeros((2, config.output_frames(segment.shape[1])), dtype=np.float32)

    hop = config.output_frames(config.input_frames(92))
    blocks = iter([stems[:, :300], stems[:, 300:]])
    mix = list(run_segments(paper_segments(config, 1000), blocks, config, network))
    assert sum(block.shape[1] for block in mix) == 1000
    context = config.context_frames
    assert not seen[0][:, :context].any()
    assert seen[0][:, context:].all()
    # The last segment ends with the stream: its second half context is zeros.
    assert not seen[-1][:, -context:].any()
    assert seen[-1][:, :-context].all()
    assert len(seen) == -(-1000 // hop)


# Sample rates.


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 44_100), (44_100, 96_000), (8000, 44_100)])
@pytest.mark.parametrize("block", [1, 777, 100_000])
def test_resampled_stream_equals_resampling_at_once(from_hz, to_hz, block):
    samples = noise(3000)
    blocks = iter([samples[:, i : i + block] for i in range(0, 3000, block)])
    stream = resample_blocks(blocks, n_samples=3000, from_hz=from_hz, to_hz=to_hz)
    once = resample_blocks(iter([samples]), n_samples=3000, from_hz=from_hz, to_hz=to_hz)
    got, expected = (np.concatenate(list(parts), axis=1) for parts in (stream, once))
    assert got.shape == (1, resampled_length(3000, from_hz, to_hz))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_resampled_stream_keeps_its_place_to_the_very_end():
    """A tone is where resampling the whole puts it, the last samples included."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3000) / 48_000, dtype=np.float32)[np.newaxis]
    blocks = iter(np.array_split(tone, 7, axis=1))
    stream = resample_blocks(blocks, n_samples=3000, from_hz=48_000, to_hz=44_100)
    expected = resample(tone, 48_000, 44_100)
    # The two filters differ where the tone starts and breaks off.
    np.testing.assert_allclose(np.concatenate(list(stream), axis=1), expected, atol=0.01)


# The network as a mixer.


@pytest.mark.parametrize("paper_segments", [False, True])
@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("n_samples", [1, 5000])
def test_mix_is_as_long_as_the_session_at_the_sessions_rate(
    model, rate_hz, n_samples, paper_segments
):
    mixer = WaveUNetMixer("waveunet-wet", model, paper_segments=paper_segments)
    mix = joined(mixer.plan(paper_session(n_samples, rate_hz)))
    assert mix.shape == (2, n_samples)
    assert mix.dtype == np.float32


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_result_does_not_depend_on_hop_or_block_size(model, rate_hz, monkeypatch):
    session = paper_session(9000, rate_hz)
    expected = joined(WaveUNetMixer("w", model).plan(session))
    for hop_frames, block_samples in ((16, 50), (2048, 1 << 17), (512, 999)):
        monkeypatch.setattr("drummix.mixers.base.BLOCK_SAMPLES", block_samples)
        monkeypatch.setattr("drummix.mixers.compute.MOST_HOP_FRAMES", hop_frames)
        mix = joined(WaveUNetMixer("w", model).plan(session))
        assert relative_db(mix - expected, expected) < -100.0


@pytest.mark.parametrize("paper_segments", [False, True])
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 48_000])
def test_silence_stays_silence(model, rate_hz, paper_segments):
    silence = Audio(np.zeros((1, 20_000), np.float32), rate_hz)
    session = open_session({role.value: silence for role in PAPER_ROLES})
    assert np.abs(load_network(model).answer_to_silence).min() > 1e-4
    mix = joined(WaveUNetMixer("w", model, paper_segments=paper_segments).plan(session))
    np.testing.assert_array_equal(mix, 0.0)


def test_mix_is_the_network_over_the_stems_in_the_models_order(model):
    session = paper_session(3000)
    stems = session.read()
    network = load_network(model)
    expected = one_pass(SMALL, network, stems) - network.answer_to_silence
    np.testing.assert_allclose(joined(WaveUNetMixer("w", model).plan(session)), expected, atol=1e-6)


def test_inputs_follow_the_cards_roles(tmp_path):
    tensors = random_tensors(SMALL)
    order = list(reversed(range(8)))
    turned = {
        **tensors,
        "down.0.weight": tensors["down.0.weight"][:, order],
        "output.weight": tensors["output.weight"][:, [*order, *range(8, 8 + SMALL.filters)]],
    }
    roles = [role.value for role in reversed(PAPER_ROLES)]
    same = load_model(write_model(tmp_path, "same", tensors, card()))
    other = load_model(write_model(tmp_path, "other", turned, card(roles=roles)))
    session = paper_session(3000)
    expected = joined(WaveUNetMixer("w", same).plan(session))
    mix = joined(WaveUNetMixer("w", other).plan(session))
    np.testing.assert_allclose(mix, expected, atol=1e-6)


def staged_model(tmp_path):
    return load_model(
        write_model(tmp_path, "net", random_tensors(SMALL), card(input_levels="staged"))
    )


@pytest.mark.parametrize("changed_db", [-12.0, -6.0, 6.0, 12.0])
def test_a_stem_recorded_louder_or_softer_changes_nothing(tmp_path, changed_db):
    mixer = WaveUNetMixer("w", staged_model(tmp_path))
    stems = {role.value: noise(3000, seed) for seed, role in enumerate(PAPER_ROLES)}
    gain = np.float32(10 ** (changed_db / 20))
    for role in ("snare", "overhead_left", "tom_low"):
        changed = {**stems, role: gain * stems[role]}
        expected, mix = (
            joined(mixer.plan(open_session({k: Audio(v, RATE_HZ) for k, v in tracks.items()})))
            for tracks in (stems, changed)
        )
        assert relative_db(mix - expected, expected) < -100.0


def test_stems_keep_their_levels_as_recorded_and_without_a_word_in_the_card(tmp_path, model):
    staged = staged_model(tmp_path)
    session = paper_session(3000)
    plan = WaveUNetMixer("w", staged).plan(session)
    left = WaveUNetMixer("w", staged, as_recorded=True).plan(session)
    assert [stem["role"] for stem in plan.settings["gain_staging"]] == [
        r.value for r in PAPER_ROLES
    ]
    assert Code.LEVEL_SET in made.codes(plan.notices)
    assert left.settings["gain_staging"] == []
    assert left.notices == ()
    assert relative_db(joined(left) - joined(plan), joined(plan)) > -40.0
    np.testing.assert_array_equal(joined(left), joined(WaveUNetMixer("w", model).plan(session)))


def test_a_toms_bleed_is_named(tmp_path):
    snare = noise(20_000)
    session = open_session(
        {"snare": Audio(snare, RATE_HZ), "tom_mid": Audio(np.float32(0.03) * snare, RATE_HZ)}
    )
    plan = WaveUNetMixer("w", staged_model(tmp_path)).plan(session)
    assert Notice(Code.ONLY_BLEED, "tom_mid") in plan.notices


def test_running_the_network_leaves_the_callers_arithmetic_alone(model):
    """A runtime that flushes denormals does so for the thread that calls it, ever after."""
    load_network(model)(np.zeros((8, SMALL.input_frames(5)), np.float32))
    smallest = np.array([2.0], np.float32) * np.finfo(np.float32).smallest_subnormal
    assert float((smallest * np.float32(0.5))[0]) > 0.0


def test_silence_in_gives_a_finite_mix(model):
    silent = open_session({"kick": Audio(np.zeros((1, 2000), np.float32), RATE_HZ)})
    assert np.isfinite(joined(WaveUNetMixer("w", model).plan(silent))).all()


def test_measuring_reports_its_progress(tmp_path):
    calls = []
    WaveUNetMixer("w", staged_model(tmp_path)).plan(
        paper_session(500), progress=lambda *call: calls.append(call)
    )
    assert calls == [("measuring", 500, 500)]


def test_settings_name_the_model_by_its_checksum(model):
    settings = WaveUNetMixer("w", model).plan(paper_session(100)).settings
    assert settings["model"]["sha256"] == model.sha256
    assert settings["runtime"].startswith("native, numpy")
    assert settings["segments"] == "even"
    paper = WaveUNetMixer("w", model, paper_segments=True).plan(paper_session(100)).settings
    assert paper["segments"] == "paper"


# The plain sum.


def test_unity_is_the_sum_with_pairs_to_their_sides():
    roles = ["kick", "overhead_left", "overhead_right", "room_left", "room_right", "room_mono"]
    session = make_session(roles, 2000)
    rows = dict(zip([stem.role.value for stem in session.stems], session.read(), strict=True))
    left, right = joined(UnityMixer().plan(session))
    centre = rows["kick"] + rows["room_mono"]
    np.testing.assert_allclose(left, centre + rows["overhead_left"] + rows["room_left"], atol=1e-6)
    np.testing.assert_allclose(
        right, centre + rows["overhead_right"] + rows["room_right"], atol=1e-6
    )


# The anchor.


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 96_000])
def test_anchor_meets_the_mask_of_bs_1534(rate_hz):
    kernel = mask_kernel(rate_hz)
    response = np.abs(np.fft.rfft(kernel, 1 << 18))
    hz = np.fft.rfftfreq(1 << 18, 1 / rate_hz)
    passed = 20 * np.log10(response[hz <= 3500.0])
    assert np.abs(passed).max() < 0.1
    assert 20 * np.log10(response[hz >= 4000.0].max()) < -25.0
    assert 20 * np.log10(response[hz >= 4500.0].max()) < -50.0


@pytest.mark.parametrize("name", ["anchor", "anchor-paper"])
@pytest.mark.parametrize("rate_hz", [8000, 44_100])
@pytest.mark.parametrize("n_samples", [1, 50, 5000])
def test_anchor_does_not_depend_on_the_block_size(name, rate_hz, n_samples, monkeypatch):
    session = make_session(["overhead_left", "overhead_right"], n_samples, rate_hz)
    whole = joined(AnchorMixer(name).plan(session))
    assert whole.shape == (2, n_samples)
    monkeypatch.setattr(base, "BLOCK_SAMPLES", 64)
    np.testing.assert_allclose(joined(AnchorMixer(name).plan(session)), whole, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "low_db", "at_cutoff_db"), [("anchor", 0.0, 0.0), ("anchor-paper", 0.0, -6.02)]
)
def test_anchor_passes_lows_and_has_its_level_at_the_cutoff(name, low_db, at_cutoff_db):
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for hz, gain_db in ((100.0, low_db), (3500.0, at_cutoff_db)):
        tone = np.sin(2 * np.pi * hz * time_s, dtype=np.float32)[np.newaxis]
        session = open_session({"overhead_left": Audio(tone, RATE_HZ)})
        left, right = joined(AnchorMixer(name).plan(session))
        inner = slice(RATE_HZ // 4, 3 * RATE_HZ // 4)
        assert gain_to_db(float(np.abs(left[inner]).max())) == pytest.approx(gain_db, abs=0.1)
        assert not right.any()


def test_anchor_does_not_delay():
    impulse = np.zeros((1, 3000), dtype=np.float32)
    impulse[0, 1500] = 1.0
    session = open_session({"overhead_left": Audio(impulse, RATE_HZ)})
    left, _ = joined(AnchorMixer().plan(session))
    assert int(np.argmax(left)) == 1500


def test_anchor_without_overheads_says_what_there_is():
    with pytest.raises(SessionError, match=r"no overheads \(found: kick\).*roles="):
        AnchorMixer().plan(make_session(["kick"]))


# The systems by name.


def test_an_unknown_system_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match="did you mean waveunet-wet"):
        make_mixer("waveunet_wet")
    with pytest.raises(SettingError, match="use one of"):
        make_mixer("magic")


@pytest.mark.parametrize("name", ["unity", "anchor", "anchor-paper"])
@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"as_recorded": True}, "as_recorded"),
        ({"paper_segments": True}, "paper_segments"),
        ({"weights": "models"}, "weights"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(name, options, option):
    with pytest.raises(SettingError, match=option):
        make_mixer(name, MixerOptions(**options))


def test_systems_say_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path)
    write_model(tmp_path, "waveunet-dry", random_tensors(SMALL), card(metrics={"si_sdr_db": 20.5}))
    found = {system.name: system for system in systems()}
    assert list(found) == list(SYSTEMS)
    assert found["waveunet-dry"].is_ready
    assert found["waveunet-dry"].metrics == {"si_sdr_db": 20.5}
    assert not found["waveunet-wet"].is_ready
    assert "waveunet-wet" in found["waveunet-wet"].why_not
    with pytest.raises(WeightsError, match="waveunet-wet"):
        make_mixer("waveunet-wet")


def test_weights_trained_for_another_target_are_used_and_said(tmp_path):
    folder = write_model(tmp_path, "net", random_tensors(SMALL), card(target="dry"))
    mixer, notices = make_mixer("waveunet-wet", MixerOptions(weights=folder))
    assert mixer.name == "waveunet-wet"
    [notice] = notices
    assert notice.code is Code.WEIGHTS_FOR_OTHER_TARGET
    assert notice.values == {"target": "dry"}


# Work ahead.


def test_work_ahead_changes_neither_blocks_nor_their_order():
    blocks = [noise(10, seed) for seed in range(20)]
    for got, block in zip(ahead(iter(blocks)), blocks, strict=True):
        assert got is block
    assert list(ahead(iter([]))) == []


def test_what_goes_wrong_ahead_is_raised_where_the_block_would_have_been_taken():
    def blocks():
        yield 1
        yield 2
        raise SessionError("damaged")

    stream = ahead(blocks())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(SessionError, match="damaged"):
        next(stream)


def test_a_stream_that_is_given_up_makes_no_more_than_the_blocks_in_line():
    made = []
    stream = ahead(made.append(n) or n for n in range(1000))
    next(stream)
    stream.close()
    assert len(made) <= 4


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_no_bit_of_the_mix(model, threads):
    session = paper_session(9000, 48_000)
    expected = joined(WaveUNetMixer("w", model).plan(session))
    mixer = WaveUNetMixer("w", model, compute=Compute(threads=threads))
    np.testing.assert_array_equal(joined(mixer.plan(session)), expected)
