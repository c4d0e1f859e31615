"""Folders and mappings become sessions, or say in one line why not."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drummix.audio import Audio, read, resample, write
from drummix.errors import AudioFileError, DrummixError, OutputError, RoleError, SessionError
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES, Role
from drummix.session import check_target, open_session

RATE_HZ = 48_000


def noise(n_channels=1, n_samples=4_800, *, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, 0.5, (n_channels, n_samples)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """An empty folder named as a session is."""
    path = tmp_path / "take 1"
    path.mkdir()
    return path


def put(folder, *names, n_channels=1, rate_hz=RATE_HZ, n_samples=4_800, seed=0):
    for name in names:
        samples = noise(n_channels, n_samples, seed=seed + sum(map(ord, name)))
        write(folder / name, Audio(samples, rate_hz), subtype="PCM_24")


def roles_of(session):
    return {stem.source: stem.role for stem in session.stems}


def refusal(error_class, *args, **kwargs):
    """The message of the error that opening raises, which must be one line."""
    with pytest.raises(error_class) as caught:
        open_session(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What a real session looks like.


def test_real_session_opens_with_no_option_given(folder):
    put(folder, "01_Kick In.wav", "02_Kick Out.wav", "03_SN Top.wav", "04_SN Bot.wav", "05_HH.flac")
    put(folder, "06_Rack 1.wav", "07_Rack 2.wav", "08_Floor Tom.aif", "Ride.wav")
    put(folder, "09_OH.wav", n_channels=2)
    put(folder, "10_Room.wav", n_channels=2, rate_hz=44_100, n_samples=4_000)
    put(folder, "click.wav", "Kick Trig.wav")
    write(folder / "China.wav", Audio(np.zeros((1, 4_800)), RATE_HZ))
    (folder / "notes.txt").write_text("mic list")
    (folder / ".DS_Store").write_text("x")
    (folder / "._01_Kick In.wav").write_text("x")
    session = open_session(folder)
    assert (session.name, session.rate_hz, session.n_samples) == ("take 1", RATE_HZ, 4_800)
    assert set(PAPER_ROLES) <= {stem.role for stem in session.stems}
    assert {stem.source for stem in session.left_out} == {"click.wav", "Kick Trig.wav"}
    assert {(notice.code, notice.about) for notice in session.notices} == {
        (Code.FILE_LEFT_OUT, "click.wav"),
        (Code.FILE_LEFT_OUT, "Kick Trig.wav"),
        (Code.FILE_RESAMPLED, "10_Room.wav"),
        (Code.FILE_PADDED, "10_Room.wav"),
    }


def test_every_file_is_a_stem_or_left_out(folder):
    put(folder, "Kick.wav", "Snare.wav", "click.wav", "mix.wav", "Crash 1.wav", "Crash 2.wav")
    session = open_session(folder)
    known = {stem.source for stem in (*session.stems, *session.left_out)}
    assert known == {path.name for path in folder.iterdir()}


def test_stems_come_in_the_order_of_the_roles(folder):
    put(folder, "Room.wav", "HH.wav", "Snare.wav", "Kick.wav")
    order = list(Role)
    roles = [stem.role for stem in open_session(folder).stems]
    assert roles == sorted(roles, key=order.index)


# Samples.


def test_blocks_hold_each_files_samples_in_the_order_of_the_stems(folder):
    put(folder, "Kick.wav", "Snare.flac")
    put(folder, "OH.wav", n_channels=2)
    session = open_session(folder)
    samples = session.read()
    assert samples.shape == (4, 4_800)
    assert samples.dtype == np.float32
    for row, stem in zip(samples, session.stems, strict=True):
        expected = read(folder / stem.source).samples[stem.channel or 0]
        np.testing.assert_array_equal(row, expected)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15
)
@given(block_samples=st.integers(50, 7_000))
def test_samples_do_not_depend_on_the_block_size(tmp_path, block_samples):
    if not (tmp_path / "Kick.wav").exists():
        put(tmp_path, "Kick.wav", n_samples=3_000)
        put(tmp_path, "Snare.wav", "HH.wav")
        put(tmp_path, "OH.wav", n_channels=2, rate_hz=44_100)
    session = open_session(tmp_path)
    blocks = list(session.blocks(block_samples))
    assert all(block.shape[1] == block_samples for block in blocks[:-1])
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), session.read(), atol=1e-6)


def test_short_file_is_padded_with_zeros_and_a_notice(folder):
    put(folder, "Kick.wav", n_samples=1_200)
    put(folder, "Snare.wav")
    session = open_session(folder)
    kick = session.read()[0]
    assert np.any(kick[:1_200] != 0.0)
    assert np.all(kick[1_200:] == 0.0)
    assert session.notices == (
        Notice(Code.FILE_PADDED, "Kick.wav", {"from_s": 0.025, "to_s": 0.1}),
    )


def test_sample_that_resampling_rounds_away_is_no_reason_for_a_notice(folder):
    put(folder, "Kick.wav", "Snare.wav")
    put(folder, "HH.wav", rate_hz=44_100, n_samples=4_409)
    [notice] = open_session(folder).notices
    assert notice.code is Code.FILE_RESAMPLED


@pytest.mark.parametrize(
    ("rates_hz", "expected_hz"),
    [
        ((48_000, 44_100, 44_100), 44_100),
        ((48_000, 44_100), 48_000),
        ((96_000, 96_000, 48_000), 96_000),
    ],
)
def test_most_common_rate_wins_and_the_higher_of_two(folder, rates_hz, expected_hz):
    for name, rate_hz in zip(("Kick.wav", "Snare.wav", "HH.wav"), rates_hz, strict=False):
        put(folder, name, rate_hz=rate_hz, n_samples=rate_hz // 10)
    session = open_session(folder)
    assert session.rate_hz == expected_hz
    assert session.n_samples == expected_hz // 10
    resampled = {n.about for n in session.notices if n.values["to_hz"] == expected_hz}
    assert resampled == {stem.source for stem in session.stems if stem.info.rate_hz != expected_hz}
    assert {notice.code for notice in session.notices} == {Code.FILE_RESAMPLED}
    for row, stem in zip(session.read(), session.stems, strict=True):
        audio = read(folder / stem.source)
        expected = resample(audio.samples, audio.rate_hz, expected_hz)[0]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_stereo_file_of_a_mono_microphone_is_summed_at_minus_6_db_with_a_notice(folder):
    put(folder, "Kick.wav", n_channels=2)
    session = open_session(folder)
    left, right = read(folder / "Kick.wav").samples
    np.testing.assert_allclose(session.read()[0], 0.5 * left + 0.5 * right, atol=1e-7)
    [notice] = session.notices
    assert (notice.code, notice.about) == (Code.FILE_SUMMED_TO_MONO, "Kick.wav")


def test_stereo_file_with_equal_channels_is_just_mono(folder):
    samples = np.repeat(noise(), 2, axis=0)
    write(folder / "Kick.wav", Audio(samples, RATE_HZ))
    session = open_session(folder)
    assert session.notices == ()
    np.testing.assert_allclose(session.read()[0], samples[0], atol=2.0**-23)


def test_silent_stem_stays(folder):
    put(folder, "Kick.wav")
    write(folder / "Snare.wav", Audio(np.zeros((1, 4_800)), RATE_HZ))
    assert [stem.role for stem in open_session(folder).stems] == [Role.KICK, Role.SNARE]


def test_long_session_is_read_in_memory_that_does_not_grow(folder):
    def peak_bytes(n_samples):
        for name in ("Kick.wav", "Snare.wav"):
            write(folder / name, Audio(np.zeros((1, n_samples)), RATE_HZ), subtype="PCM_16")
        write(folder / "HH.wav", Audio(np.zeros((1, n_samples)), 44_100), subtype="PCM_16")
        session = open_session(folder)
        tracemalloc.start()
        for _ in session.blocks(16_384):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # Without blocks it would be ten times as much.
    assert peak_bytes(2_000_000) < 1.5 * peak_bytes(200_000)


# Mappings.


def test_mapping_of_arrays_and_paths_is_a_session(folder):
    put(folder, "odd name.wav")
    samples = noise(2)
    session = open_session({"snare_top": folder / "odd name.wav", "OH": Audio(samples, RATE_HZ)})
    assert session.folder is None
    assert [stem.role for stem in session.stems] == [
        Role.SNARE, Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT,
    ]  # fmt: skip
    np.testing.assert_array_equal(session.read()[1:], samples)


def test_arrays_are_resampled_as_files_are():
    samples = noise(n_samples=44_100)
    audio = {"kick": Audio(samples, 44_100), "snare": Audio(noise(), RATE_HZ)}
    session = open_session(audio)
    assert session.rate_hz == RATE_HZ
    blocks = np.concatenate(list(session.blocks(1_000)), axis=1)
    np.testing.assert_allclose(blocks[0], resample(samples, 44_100, RATE_HZ)[0], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_array_with_a_nan_is_an_error_that_names_it_and_says_where(bad):
    samples = noise()
    samples[0, 2_400] = bad
    message = refusal(AudioFileError, {"kick": Audio(samples, RATE_HZ)})
    assert "kick" in message
    assert "0.050 s" in message


def test_empty_mapping_and_empty_array_are_refused():
    refusal(SessionError, {})
    assert "kick" in refusal(AudioFileError, {"kick": Audio(np.zeros((1, 0)), RATE_HZ)})


# What the user says wins.


def test_role_given_by_the_user_wins_over_the_file_which_wins_over_the_name(folder):
    put(folder, "take 1.wav", "take 2.wav", "Kick.wav")
    (folder / "session.toml").write_text(
        '[roles]\nsnare = "take 1.wav"\nhihat = "take 2.wav"\nride = "Kick.wav"\n'
    )
    assert roles_of(open_session(folder)) == {
        "take 1.wav": Role.SNARE, "take 2.wav": Role.HIHAT, "Kick.wav": Role.RIDE,
    }  # fmt: skip
    roles = {"snare_top": "take 2.wav", "kick": "Kick.wav", "hihat": "take 1.wav"}
    assert roles_of(open_session(folder, roles=roles)) == {
        "take 2.wav": Role.SNARE, "take 1.wav": Role.HIHAT, "Kick.wav": Role.KICK,
    }  # fmt: skip


def test_role_given_in_other_words_wins_over_the_file_too(folder):
    put(folder, "a.wav", "b.wav")
    (folder / "session.toml").write_text('ignore = "b.wav"\n[roles]\nsnare = "a.wav"\n')
    roles = {"snare_top": "b.wav", "kick": "a.wav"}
    assert roles_of(open_session(folder, roles=roles)) == {"a.wav": Role.KICK, "b.wav": Role.SNARE}


def test_reason_says_that_the_user_said_so(folder):
    put(folder, "take 1.wav")
    (stem,) = open_session(folder, roles={"snare_top": "take 1.wav"}).stems
    assert stem.why == 'called "snare_top" by you'


def test_pair_role_given_to_a_stereo_file_splits_it(folder):
    put(folder, "take.wav", n_channels=2)
    session = open_session(folder, roles={"overhead": "take.wav"})
    assert [(stem.role, stem.channel) for stem in session.stems] == [
        (Role.OVERHEAD_LEFT, 0), (Role.OVERHEAD_RIGHT, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["foo.wav", "FOO.WAV", "foo", "f*"])
def test_file_may_be_named_exactly_or_nearly(folder, pattern):
    put(folder, "Kick.wav", "foo.wav")
    session = open_session(folder, roles={"ignore": pattern})
    assert roles_of(session) == {"Kick.wav": Role.KICK}
    assert session.notices == (Notice(Code.FILE_IGNORED, "foo.wav"),)


def test_several_files_may_be_ignored_by_both_ways(folder):
    put(folder, "Kick.wav", "foo.wav", "bar.wav", "Gtr 1.wav", "Snare.wav")
    (folder / "session.toml").write_text('ignore = ["foo.wav", "Gtr*"]\n')
    session = open_session(folder, roles={"ignore": ["bar.wav", "Snare.wav"]})
    assert roles_of(session) == {"Kick.wav": Role.KICK}


def test_ignored_file_may_be_broken(folder):
    put(folder, "Kick.wav")
    (folder / "Snare.wav").write_text("no sound")
    assert len(open_session(folder, roles={"ignore": "Snare.wav"}).stems) == 1


def test_left_out_file_is_mixed_once_it_has_a_role(folder):
    put(folder, "Kick.wav", "Kick Trig.wav")
    assert len(open_session(folder).stems) == 1
    assert len(open_session(folder, roles={"kick_2": "Kick Trig.wav"}).stems) == 2


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[rolls]\nsnare = 'a.wav'", "rolls"),
        ("roles = 3", r"[roles]"),
        ("[roles]\nsnare = 3", "roles.snare is 3; expected a text"),
        ("[roles]\nsnare = ['a.wav', 3]", "roles.snare[1] is 3; expected a text"),
        ("[roles]\n\"a\\nb\" = 'Kick.wav'", "a\\nb"),
        ("roles = 1" + "0" * 5000, "more than 30 digits"),
        ("roles = " + "[" * 100_000, "nests deeper than 32 levels"),
        ("[roles]\nbanana = 'Kick.wav'", "banana"),
        ("[roles]\nsnare = 'no such.wav'", "no such.wav"),
        ("ignore = [3]", "ignore"),
        ("this is no toml", "TOML"),
        ("[roles]\nsnare = 'Kick.wav'\nride = 'Kick.wav'", "one role"),
    ],
)
def test_mistake_in_session_toml_is_one_line_that_names_the_file(folder, toml, words):
    put(folder, "Kick.wav")
    (folder / "session.toml").write_text(toml)
    message = refusal(SessionError, folder)
    assert "session.toml" in message
    assert words in message


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"banana": "Kick.wav"}, "banana"),
        ({"snare": "Kik.wav"}, 'did you mean "Kick.wav"'),
        ({"snare": "Kick.wav", "ride": "Kick.wav"}, "one role"),
    ],
)
def test_mistake_in_given_roles_is_one_line_with_the_fix(folder, roles, words):
    put(folder, "Kick.wav")
    assert words in refusal(RoleError, folder, roles=roles)


# Bad input.


def test_folder_that_does_not_exist_is_refused(tmp_path):
    assert "nowhere" in refusal(SessionError, tmp_path / "nowhere")


def test_file_instead_of_a_folder_is_refused(folder):
    put(folder, "Kick.wav")
    assert "Kick.wav is a file" in refusal(SessionError, folder / "Kick.wav")


def test_empty_folder_is_refused(folder):
    assert f"{folder} is empty" in refusal(SessionError, folder)


def test_folder_without_audio_is_refused_and_the_inner_one_with_it_is_named(folder):
    (folder / "notes.txt").write_text("x")
    assert "no sound files" in refusal(SessionError, folder)
    (folder / "Audio Files").mkdir()
    put(folder / "Audio Files", "Kick.wav")
    assert '"Audio Files"' in refusal(SessionError, folder)


def test_folder_with_only_a_click_is_refused(folder):
    put(folder, "click.wav")
    message = refusal(SessionError, folder)
    assert "no microphone" in message
    assert "click.wav" in message


@pytest.mark.parametrize(
    ("content", "words"), [(b"just text", "not a sound file"), (b"", "is empty")]
)
def test_file_that_is_no_audio_is_refused_by_name(folder, content, words):
    put(folder, "Kick.wav")
    (folder / "Snare.wav").write_bytes(content)
    message = refusal(AudioFileError, folder)
    assert "Snare.wav" in message
    assert words in message


def test_truncated_file_is_refused_by_name(folder):
    put(folder, "Kick.wav", "Snare.wav")
    content = (folder / "Snare.wav").read_bytes()
    (folder / "Snare.wav").write_bytes(content[:5_000])
    message = refusal(AudioFileError, folder)
    assert "Snare.wav is cut off" in message


def test_nan_in_a_file_is_an_error_while_reading(folder):
    samples = noise()
    samples[0, 2_400] = np.nan
    write(folder / "Kick.wav", Audio(samples, RATE_HZ), subtype="FLOAT")
    with pytest.raises(AudioFileError, match=r"Kick\.wav .* 0\.050 s"):
        list(open_session(folder).blocks(1_000))


def test_5_channel_file_is_refused_by_name_with_the_fix(folder):
    put(folder, "Kick.wav")
    put(folder, "Overheads.wav", n_channels=5)
    message = refusal(SessionError, folder)
    assert "Overheads.wav has 5 channels" in message
    assert "roles={'ignore': 'Overheads.wav'}" in message


def test_unknown_names_are_all_in_one_line_with_the_fix(folder):
    put(folder, "Kick.wav", "foo.wav", "bar.wav")
    message = refusal(RoleError, folder)
    assert '"foo.wav"' in message
    assert '"bar.wav"' in message
    assert "roles={'ignore': " in message


def test_fix_that_the_error_offers_works(folder):
    put(folder, "Kick 1.wav", "Kick 2.wav")
    message = refusal(RoleError, folder)
    fix = {"kick": "Kick 1.wav", "kick_out": "Kick 2.wav"}
    assert f"roles={fix!r}" in message
    session = open_session(folder, roles=fix)
    assert len(session.stems) == 2


def test_one_role_given_to_two_files_is_refused(folder):
    put(folder, "a.wav", "b.wav")
    assert "a.wav" in refusal(RoleError, folder, roles={"kick": ["a.wav", "b.wav"]})


def test_microphone_in_a_format_that_cannot_be_read_is_refused_and_other_files_are_noticed(folder):
    put(folder, "Kick.wav")
    (folder / "phone memo.m4a").write_bytes(b"x")
    [notice] = open_session(folder).notices
    assert (notice.code, notice.about) == (Code.FILE_OF_OTHER_FORMAT, "phone memo.m4a")
    (folder / "Snare.m4a").write_bytes(b"x")
    assert "Snare.m4a" in refusal(SessionError, folder)
    assert len(open_session(folder, roles={"ignore": "Snare.m4a"}).stems) == 1


def test_mix_among_the_sessions_own_files_is_refused(folder):
    put(folder, "Kick.wav")
    session = open_session(folder)
    with pytest.raises(OutputError, match="inside the session's folder"):
        check_target(session, folder / "mix.wav")
    with pytest.raises(OutputError):
        check_target(session, folder / ".." / folder.name / "mix.wav")
    check_target(session, folder.parent / "mix.wav")
    check_target(open_session({"kick": folder / "Kick.wav"}), folder / "mix.wav")


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30
)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"RIFF", b"fLaC", b"FORM"]))
def test_any_bytes_at_all_open_or_raise_one_of_ours(tmp_path, content, head):
    (tmp_path / "Kick.wav").write_bytes(head + content)
    with pytest.raises(DrummixError) as caught:
        list(open_session(tmp_path).blocks(1_000))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threads", [2, 16])
def test_files_decoded_by_several_threads_give_the_same_blocks(folder, threads):
    put(folder, "kick.wav", "snare.flac", "hat.wav", n_samples=9_000)
    put(folder, "room.wav", n_channels=2, rate_hz=44_100, n_samples=4_000)
    session = open_session(folder)
    for alone, shared in zip(
        session.blocks(2_000), session.blocks(2_000, threads=threads), strict=True
    ):
        np.testing.assert_array_equal(shared, alone)


def test_file_cut_off_since_it_was_opened_is_said_whatever_thread_reads_it(folder):
    put(folder, "kick.wav", "snare.wav", "hat.wav")
    session = open_session(folder)
    with (folder / "snare.wav").open("r+b") as file:
        file.truncate(2_000)
    with pytest.raises(AudioFileError, match=r"snare\.wav is cut off"):
        list(session.blocks(1_000, threads=3))


# Sound in memory.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_with_their_rate_are_tracks(dtype):
    kick, overheads = noise()[0].astype(dtype), noise(2, seed=1).astype(dtype)
    session = open_session({"kick": (kick, RATE_HZ), "OH": (overheads, RATE_HZ)})
    expected = np.concatenate([kick[np.newaxis], overheads]).astype(np.float32)
    np.testing.assert_array_equal(session.read(), expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros(100), "of type ndarray"),
        ([0.0] * 100, "of type list"),
        (None, "of type NoneType"),
        ((np.zeros(100), "44100"), "at '44100' Hz"),
        ((np.zeros(100), 0), "at 0 Hz"),
        ((np.zeros(100), 44_100.5), "at 44100.5 Hz"),
        ((np.zeros(100, np.int16), 44_100), "array of int16"),
        ((np.zeros((2, 2, 100)), 44_100), "shape (2, 2, 100)"),
        ((np.zeros(100), 44_100, 1), "of type tuple"),
        ((["a"], 44_100), "array of <U1"),
    ],
    ids=repr,
)
def test_what_is_no_track_is_refused_in_one_line_that_names_it(content, words):
    message = refusal(SessionError, {"kick": (noise()[0], RATE_HZ), "snare": content})
    assert "'snare' is" in message
    assert words in message


def test_an_array_that_holds_no_number_is_refused():
    sound = noise()[0].copy()
    sound[7] = np.nan
    assert "kick" in refusal(AudioFileError, {"kick": (sound, RATE_HZ)})
