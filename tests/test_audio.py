"""Sound files: what goes in comes out, and what is wrong is said in one line."""

import errno
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import made
from drummix.audio import (
    Audio,
    BlockReader,
    Writer,
    atomic_path,
    probe,
    read,
    remove_leftovers,
    resample,
    resampled_length,
    whole_pieces,
    write,
)
from drummix.audio import writing as writing_module
from drummix.errors import AudioFileError, OutputError, SettingError

BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 24, "DOUBLE": 24}


def noise(n_channels=2, n_samples=10_000, *, seed=0, peak=0.9):
    rng = np.random.default_rng(seed)
    return rng.uniform(-peak, peak, (n_channels, n_samples)).astype(np.float32)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def steps_off(subtype):
    """Steps by which rounding may move a sample: half of one, and one of dither at 16 bits."""
    return 1.5 if subtype == "PCM_16" else 0.5


def assert_one_line_naming(error, path):
    assert "\n" not in str(error)
    assert Path(path).name in str(error)


# Reading and writing what is right.


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", subtype) for subtype in BITS]
    + [(".flac", "PCM_16"), (".flac", "PCM_24"), (".aiff", "PCM_24"), (".aif", "FLOAT")],
)
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_file_comes_back_to_half_a_step_of_its_coding_and_dither(
    tmp_path, suffix, subtype, n_channels
):
    samples = noise(n_channels)
    write(tmp_path / f"a{suffix}", Audio(samples, 48_000), subtype=subtype)
    info = probe(tmp_path / f"a{suffix}")
    assert (info.rate_hz, info.n_channels, info.n_samples) == (48_000, n_channels, 10_000)
    assert info.subtype == subtype
    error = np.abs(read(tmp_path / f"a{suffix}").samples - samples).max()
    assert error <= steps_off(subtype) * 2.0 ** (1 - BITS[subtype]) + 2.0**-25


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_file_read_and_written_again_is_the_same_bit_by_bit(tmp_path, subtype):
    write(tmp_path / "a.wav", Audio(noise(peak=1.2), 44_100), subtype=subtype)
    write(tmp_path / "b.wav", read(tmp_path / "a.wav"), subtype=subtype)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def spectrum_db(samples):
    window = np.hanning(samples.size)
    lines = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2)
    return 20 * np.log10(np.maximum(lines, 1e-12))


@pytest.mark.parametrize(("subtype", "level_dbfs"), [("PCM_16", -100.0), ("PCM_U8", -52.0)])
def test_a_sine_below_the_last_step_survives_without_harmonics(tmp_path, subtype, level_dbfs):
    """Rounded alone it is silence, and a little louder a square wave."""
    n_samples, line = 1 << 20, 22_000
    tone = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * line * np.arange(n_samples) / n_samples)
    write(tmp_path / "a.wav", Audio(tone[np.newaxis], 48_000), subtype=subtype)
    lines_db = spectrum_db(read(tmp_path / "a.wav").samples[0].astype(np.float64))
    assert lines_db[line] == pytest.approx(level_dbfs, abs=0.5)
    # The noise floor: of a few thousand lines the highest is 10 dB above the mean.
    floor_db = 10 * np.log10(np.mean(10 ** (lines_db[line + 50 : line + 20_000] / 10)))
    assert lines_db[2 * line : 12 * line : line].max() < floor_db + 10.0
    assert floor_db < level_dbfs - 20.0


@pytest.mark.parametrize("gain", [0.1, 0.5, 1.7])
def test_the_error_of_16_bits_is_white_noise_of_a_quarter_step_squared(tmp_path, gain):
    samples = gain * 2.0**-15 * np.sin(np.arange(200_000) * 0.01)[np.newaxis]
    write(tmp_path / "a.wav", Audio(samples, 48_000), subtype="PCM_16")
    error = (read(tmp_path / "a.wav").samples.astype(np.float64) - samples)[0] * 2.0**15
    assert error.mean() == pytest.approx(0.0, abs=0.01)
    # Rounding gives a twelfth, either uniform noise of the dither another.
    assert np.square(error).mean() == pytest.approx(0.25, rel=0.03)
    assert np.corrcoef(error[1:], error[:-1])[0, 1] == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_16_bits_are_the_same_bytes_every_time_and_silence_stays_silence(tmp_path, block):
    samples = np.concatenate([noise(n_samples=500), np.zeros((2, 500), np.float32)], axis=1)
    write(tmp_path / "a.wav", Audio(samples, 48_000), subtype="PCM_16")
    with Writer(tmp_path / "b.wav", rate_hz=48_000, n_channels=2, subtype="PCM_16") as writer:
        for start in range(0, 1000, block):
            writer.write(samples[:, start : start + block])
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert not read(tmp_path / "a.wav").samples[:, 500:].any()


@pytest.mark.parametrize(("suffix", "format"), [(".ogg", "OGG"), (".mp3", "MP3")])
def test_lossy_formats_are_read_and_written(tmp_path, suffix, format):
    time_s = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 440.0 * time_s)[np.newaxis].astype(np.float32)
    write(tmp_path / f"a{suffix}", Audio(tone, 48_000))
    audio = read(tmp_path / f"a{suffix}")
    assert probe(tmp_path / f"a{suffix}").format == format
    assert audio.n_samples == 48_000
    # Coding noise of a tone lies far below it; -30 dB tells it from a shifted or scaled tone.
    middle = slice(4_000, 44_000)
    error = audio.samples[:, middle] - tone[:, middle]
    assert np.square(error).mean() < 1e-3 * np.square(tone).mean()


def test_writer_in_blocks_equals_write_at_once(tmp_path):
    samples = noise()
    write(tmp_path / "a.wav", Audio(samples, 48_000))
    with Writer(tmp_path / "b.wav", rate_hz=48_000, n_channels=2) as writer:
        for start in range(0, 10_000, 777):
            writer.write(samples[:, start : start + 777])
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_writing_does_not_change_the_block(tmp_path):
    samples = noise(peak=2.0)
    before = samples.copy()
    write(tmp_path / "a.wav", Audio(samples, 48_000))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_samples_over_full_scale_are_limited_and_counted(tmp_path, suffix):
    samples = np.tile(np.float32([0.5, 1.0, -1.0, 1.5, -3.0]), (1, 1_000))
    writer = Writer(tmp_path / f"a{suffix}", rate_hz=48_000, n_channels=1)
    with writer:
        writer.write(samples[:, :2_500])
        writer.write(samples[:, 2_500:])
    assert writer.n_clipped == 2_000
    if suffix != ".ogg":
        limited = read(tmp_path / f"a{suffix}").samples
        np.testing.assert_allclose(limited, np.clip(samples, -1.0, 1.0), atol=1e-6)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_files_keep_samples_over_full_scale(tmp_path, subtype):
    assert write(tmp_path / "a.wav", Audio(np.float32([[3.0]]), 48_000), subtype=subtype) == 0
    assert read(tmp_path / "a.wav").samples[0, 0] == 3.0


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_wav_that_outgrows_its_32_bit_sizes_goes_on_as_rf64(tmp_path, monkeypatch, subtype):
    monkeypatch.setattr(writing_module, "_RIFF_LIMIT_BYTES", 20_000)
    samples = noise()
    with Writer(tmp_path / "a.wav", rate_hz=48_000, n_channels=2, subtype=subtype) as writer:
        for start in range(0, 10_000, 1_000):
            writer.write(samples[:, start : start + 1_000])
    assert probe(tmp_path / "a.wav").format == "RF64"
    error = np.abs(read(tmp_path / "a.wav").samples - samples).max()
    assert error <= steps_off(subtype) * 2.0 ** (1 - BITS[subtype]) + 2.0**-25
    assert leftovers(tmp_path) == ["a.wav"]


def test_wav_below_4_gb_is_plain_riff(tmp_path):
    write(tmp_path / "a.wav", Audio(noise(), 48_000))
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


# Blocks and resampling.


@pytest.mark.parametrize("rate_hz", [None, 44_100, 96_000, 22_050])
@pytest.mark.parametrize("block_samples", [100, 4_096, 10**6])
def test_blocks_joined_equal_the_whole_file(tmp_path, rate_hz, block_samples):
    write(tmp_path / "a.wav", Audio(noise(n_samples=30_000), 48_000))
    whole = read(tmp_path / "a.wav", rate_hz=rate_hz)
    with BlockReader(tmp_path / "a.wav", rate_hz=rate_hz) as reader:
        assert (reader.n_samples, reader.rate_hz) == (whole.n_samples, whole.rate_hz)
        blocks = list(reader.blocks(block_samples))
        assert reader.read(block_samples).shape == (2, 0)
    assert all(block.shape[1] == block_samples for block in blocks[:-1])
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole.samples, atol=1e-7)
    if rate_hz is not None:
        file_samples = read(tmp_path / "a.wav").samples
        np.testing.assert_allclose(
            whole.samples, resample(file_samples, 48_000, rate_hz), atol=1e-6
        )


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25
)
@given(
    n_samples=st.integers(1, 5_000),
    from_hz=st.sampled_from([8_000, 44_100, 48_000, 96_000]),
    to_hz=st.sampled_from([8_000, 44_100, 48_000, 96_000]),
)
def test_length_after_resampling_is_the_one_foretold(tmp_path, n_samples, from_hz, to_hz):
    write(tmp_path / "a.wav", Audio(noise(1, n_samples), from_hz))
    expected = resampled_length(n_samples, from_hz, to_hz)
    assert abs(expected - n_samples * to_hz / from_hz) <= 0.5
    assert read(tmp_path / "a.wav", rate_hz=to_hz).n_samples == expected


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 48_000), (96_000, 44_100)])
def test_resampled_tone_keeps_its_frequency_level_and_time(from_hz, to_hz):
    def tone(rate_hz):
        return np.sin(2 * np.pi * 1_000.0 * np.arange(rate_hz) / rate_hz)[np.newaxis]

    resampled = resample(tone(from_hz), from_hz, to_hz)
    middle = slice(to_hz // 10, -to_hz // 10)
    np.testing.assert_allclose(resampled[:, middle], tone(to_hz)[:, middle], atol=1e-4)


def test_resampling_to_the_same_rate_copies():
    samples = noise()
    same = resample(samples, 48_000, 48_000)
    np.testing.assert_array_equal(same, samples)
    assert not np.shares_memory(same, samples)


# Reading what is wrong: one clear line that names the file.


def cut_wav(path):
    write(path, Audio(noise(), 48_000))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def cut_flac(path):
    write(path.with_suffix(".flac"), Audio(noise(), 48_000))
    content = path.with_suffix(".flac").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def with_rate(rate_hz):
    def make(path):
        write(path, Audio(noise(1), 48_000))
        content = bytearray(path.read_bytes())
        content[24:28] = struct.pack("<I", rate_hz)
        path.write_bytes(content)

    return make


BAD_FILES = {
    "text named wav": (lambda p: p.write_text("not audio"), "not a sound file"),
    "no byte": (lambda p: p.touch(), "empty"),
    "no samples": (lambda p: soundfile.write(p, np.zeros((0, 1)), 48_000), "no samples"),
    "a folder": (lambda p: p.mkdir(), "folder"),
    "missing": (lambda p: None, "No such file"),
    "cut off": (cut_wav, r"promises 0\.208 s, 0\.104 s"),
    "cut off flac": (cut_flac, "damaged"),
    "10 Hz": (with_rate(10), "10 Hz; expected 1000 to 768000"),
    "768001 Hz": (with_rate(768_001), "768001 Hz; expected 1000 to 768000"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_file_that_cannot_be_read_is_one_clear_line(tmp_path, kind):
    make, words = BAD_FILES[kind]
    path = tmp_path / "snare.wav"
    make(path)
    with pytest.raises(AudioFileError, match=words) as caught:
        read(path)
    assert_one_line_naming(caught.value, path)


@pytest.mark.parametrize("rate_hz", [1_000, 768_000])
def test_every_rate_that_converters_have_is_read(tmp_path, rate_hz):
    with_rate(rate_hz)(tmp_path / "snare.wav")
    assert probe(tmp_path / "snare.wav").rate_hz == rate_hz


RIFF_FORMAT = b"RIFF\0\0\0\x40WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 44_100, 88_200, 2, 16)
ENDLESS = {
    "zeros after a WAV's format": (RIFF_FORMAT, b"", "not a sound file"),
    "zeros after an AIFF's head": (b"FORM\0\0\0\0AIFF", b"", "not a sound file"),
    "empty chunks of a WAV": (b"RIFF\0\0\0\0WAVE", b"junk\0\0\0\0", "10000 chunks"),
    "empty chunks of an AIFF": (b"FORM\0\0\0\0AIFF", b"ANNO\0\0\0\0", "10000 chunks"),
    "empty chunks of a CAF": (b"caff\0\1\0\0", b"free" + bytes(8), "10000 chunks"),
    "empty chunks of a W64": (
        b"riff" + bytes(36),
        b"junk" + bytes(12) + struct.pack("<Q", 24),
        "10000 chunks",
    ),
    "empty blocks of a FLAC": (b"fLaC", b"\1\0\0\0", "10000 chunks"),
    "empty tags": (b"", b"ID3\4" + bytes(6), "20 tags"),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("kind", ENDLESS)
def test_gigabyte_of_nothing_is_one_line_within_two_seconds_and_in_little_memory(tmp_path, kind):
    head, repeated, words = ENDLESS[kind]
    path = tmp_path / "snare.wav"
    with path.open("wb") as file:
        file.write(head + repeated * 100_000)
        file.truncate(1_000_000_000)
    # A limit of processor time ends the child wherever it hangs, in C too; a limit of memory that
    # the system keeps would count what libraries map and never use.
    child = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (2, 2))\n"
        "from drummix import audio, errors\n"
        "try: audio.probe(sys.argv[1])\n"
        "except errors.AudioFileError as error: print(error)\n"
        "[most] = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "assert int(most.split()[1]) < 300_000, most"
    )
    said = subprocess.run([sys.executable, "-c", child, path], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert words in said.stdout
    assert_one_line_naming(said.stdout.rstrip("\n"), path)


def test_file_with_thousands_of_markers_is_read(tmp_path):
    path = tmp_path / "a.wav"
    write(path, Audio(noise(1), 48_000))
    content = path.read_bytes()
    path.write_bytes(content + 9_900 * (b"note" + struct.pack("<I", 3) + b"abc\0"))
    assert probe(path).n_samples == 10_000


@pytest.mark.parametrize("suffix", [".aiff", ".rf64"])
def test_other_containers_that_are_cut_off_are_found(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    format = {".aiff": "AIFF", ".rf64": "RF64"}[suffix]
    soundfile.write(path, noise().T, 48_000, format=format, subtype="PCM_24")
    assert read(path).n_samples == 10_000
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioFileError, match="cut off") as caught:
        probe(path)
    assert_one_line_naming(caught.value, path)


@pytest.mark.parametrize("share_left", [0.3, 0.6, 0.99])
def test_ogg_that_is_cut_off_anywhere_is_found(tmp_path, share_left):
    path = tmp_path / "a.ogg"
    write(path, Audio(noise(n_samples=144_000, peak=0.5), 48_000))
    assert read(path).n_samples == 144_000
    content = path.read_bytes()
    path.write_bytes(content[: round(share_left * len(content))])
    with pytest.raises(AudioFileError, match="cut off") as caught:
        read(path)
    assert_one_line_naming(caught.value, path)


def test_mp3_that_is_cut_off_is_found_while_reading(tmp_path):
    path = tmp_path / "a.mp3"
    write(path, Audio(noise(n_samples=144_000, peak=0.5), 48_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioFileError, match="cut off") as caught:
        read(path)
    assert_one_line_naming(caught.value, path)


def test_cut_off_wav_is_found_behind_a_chunk_of_odd_length(tmp_path):
    path = tmp_path / "a.wav"
    write(path, Audio(noise(), 48_000))
    content = path.read_bytes()
    at = content.index(b"data")
    path.write_bytes(content[:at] + b"note" + struct.pack("<I", 3) + b"abc\0" + content[at:])
    assert probe(path).n_samples == 10_000
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(AudioFileError, match="cut off"):
        probe(path)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_wav_written_to_a_pipe_without_its_length_is_not_called_cut_off(tmp_path, size):
    path = tmp_path / "a.wav"
    write(path, Audio(noise(), 48_000))
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    if size:
        assert probe(path).n_samples == 10_000
    else:
        with pytest.raises(AudioFileError, match="no samples"):
            probe(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate_hz", [None, 44_100])
def test_nan_or_infinity_is_an_error_that_says_where(tmp_path, bad, rate_hz):
    samples = noise(2, 96_000)
    samples[1, 72_000] = bad
    write(tmp_path / "kick.wav", Audio(samples, 48_000), subtype="FLOAT")
    with (
        BlockReader(tmp_path / "kick.wav", rate_hz=rate_hz) as reader,
        pytest.raises(AudioFileError, match=r"at 1\.500 s") as caught,
    ):
        list(reader.blocks(10_000))
    assert_one_line_naming(caught.value, "kick.wav")


@pytest.mark.parametrize("shape", [(10,), (1, 2, 3)])
def test_audio_of_another_shape_is_refused(shape):
    with pytest.raises(AudioFileError, match=r"\(channels, samples\)"):
        Audio(np.zeros(shape, dtype=np.float32), 48_000)


def test_audio_knows_its_length():
    audio = Audio(np.zeros((2, 24_000)), 48_000)
    assert (audio.n_channels, audio.n_samples, audio.duration_s) == (2, 24_000, 0.5)
    assert audio.samples.dtype == np.float32


# Writing where it does not work: nothing is left behind, what was there stays.


class Stopped(BaseException):
    """Stands for anything that may end a run."""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, Stopped])
def test_stop_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, stop):
    target = tmp_path / "mix.wav"
    target.write_bytes(b"old")

    def write_half():
        with Writer(target, rate_hz=48_000, n_channels=2) as writer:
            writer.write(noise())
            raise stop

    with pytest.raises(stop):
        write_half()
    assert leftovers(tmp_path) == ["mix.wav"]
    assert target.read_bytes() == b"old"


def test_atomic_path_is_a_hidden_sibling_with_the_same_suffix(tmp_path):
    with atomic_path(tmp_path / "mix.json") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".json"
        temporary.write_text("{}")
        assert not (tmp_path / "mix.json").exists()
    assert leftovers(tmp_path) == ["mix.json"]


def test_two_writers_of_one_target_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        assert first != second


def test_link_stays_a_link_and_its_file_is_written(tmp_path):
    (tmp_path / "real.wav").touch()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write(tmp_path / "link.wav", Audio(noise(), 48_000))
    assert (tmp_path / "link.wav").is_symlink()
    assert probe(tmp_path / "real.wav").n_samples == 10_000


def test_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(OutputError, match="does not exist") as caught:
        write(tmp_path / "no" / "mix.wav", Audio(noise(), 48_000))
    assert_one_line_naming(caught.value, "mix.wav")


def test_folder_as_target_is_refused(tmp_path):
    (tmp_path / "mix.wav").mkdir()
    with pytest.raises(OutputError, match="folder") as caught:
        write(tmp_path / "mix.wav", Audio(noise(), 48_000))
    assert_one_line_naming(caught.value, "mix.wav")


def test_device_as_target_is_refused():
    with pytest.raises(OutputError, match="device"), atomic_path("/dev/null"):
        pass
    assert not Path("/dev/null").is_file()


def test_folder_without_permission_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        write(tmp_path / "mix.wav", Audio(noise(), 48_000))
    assert_one_line_naming(caught.value, "mix.wav")


def test_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    class FullDisk(soundfile.SoundFile):
        def write(self, data):
            raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile, "SoundFile", FullDisk)
    with pytest.raises(OutputError, match="free space") as caught:
        write(tmp_path / "mix.wav", Audio(noise(), 48_000))
    assert_one_line_naming(caught.value, "mix.wav")
    assert leftovers(tmp_path) == []


def test_full_disk_that_nobody_reports_is_noticed_by_the_length(tmp_path, monkeypatch):
    class SilentlyFullDisk(soundfile.SoundFile):
        def write(self, data):
            super().write(data[:100])

    monkeypatch.setattr(soundfile, "SoundFile", SilentlyFullDisk)
    with pytest.raises(OutputError, match="free space"):
        write(tmp_path / "mix.wav", Audio(noise(), 48_000))
    assert leftovers(tmp_path) == []


def test_full_disk_for_another_kind_of_file_is_one_clear_line(tmp_path):
    with (
        pytest.raises(OutputError, match="No space left") as caught,
        atomic_path(tmp_path / "a.png"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert_one_line_naming(caught.value, "a.png")
    assert leftovers(tmp_path) == []


def test_error_about_another_file_is_not_taken_for_the_targets(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.png"):
        (tmp_path / "no such input").read_bytes()


@pytest.mark.parametrize(
    ("name", "subtype", "words"),
    [
        ("mix.xyz", "PCM_24", "xyz"),
        ("mix", "PCM_24", "suffix"),
        ("mix.flac", "FLOAT", "subtype is 'FLOAT', which FLAC cannot hold"),
    ],
)
def test_container_or_coding_that_does_not_exist_is_refused(tmp_path, name, subtype, words):
    with pytest.raises(SettingError, match=words) as caught:
        write(tmp_path / name, Audio(noise(), 48_000), subtype=subtype)
    assert_one_line_naming(caught.value, "use one of")
    assert leftovers(tmp_path) == []


def test_format_may_be_given_where_the_name_has_no_suffix(tmp_path):
    with Writer(tmp_path / "mix", rate_hz=48_000, n_channels=2, format="FLAC") as writer:
        writer.write(noise())
    assert probe(tmp_path / "mix").format == "FLAC"


def test_block_of_another_channel_count_is_refused(tmp_path):
    with (
        pytest.raises(SettingError, match="channels"),
        Writer(tmp_path / "a.wav", rate_hz=48_000, n_channels=2) as writer,
    ):
        writer.write(noise(1))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("n_block", [1, 3, 7, 100])
def test_whole_pieces_join_to_the_stream_whatever_the_blocks(n_block):
    stream = np.arange(46, dtype=np.float32).reshape(2, 23)
    rest, pieces = np.zeros((2, 0), np.float32), []
    for start in range(0, 23, n_block):
        found, rest = whole_pieces(rest, stream[:, start : start + n_block], 5)
        pieces.append(found)
    joined = np.concatenate(pieces, axis=1)
    assert joined.shape == (2, 4, 5)
    np.testing.assert_array_equal(joined.reshape(2, 20), stream[:, :20])
    np.testing.assert_array_equal(rest, stream[:, 20:])


# Leftovers, links, moved folders and power cuts.


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    left = made.leave_behind(tmp_path / "other.wav")
    others = [".mix.notes", "mix.1-0.partial.wav", ".mix.00000000-1-0.partial.wav"]
    for name in others:
        (tmp_path / name).touch()
    with atomic_path(tmp_path / "mix.wav") as going_on:
        remove_leftovers(tmp_path)
        assert going_on.exists()
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "mix.wav"])


def test_a_link_that_leads_back_to_itself_is_one_clear_line(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(OutputError, match="leads back to itself") as caught:
        write(tmp_path / "a.wav", Audio(noise(), 48_000))
    assert_one_line_naming(caught.value, "a.wav")


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_folder_that_is_moved_meanwhile_is_not_a_full_disk(tmp_path, is_gone):
    folder = tmp_path / "mixes"
    folder.mkdir()

    def write_and_move():
        with Writer(folder / "mix.wav", rate_hz=48_000, n_channels=1) as writer:
            writer.write(noise(1))
            shutil.rmtree(folder) if is_gone else folder.rename(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="was moved or removed meanwhile"):
        write_and_move()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux only")  # noqa: PTH112
def test_a_file_and_its_folder_are_on_the_disk_before_the_write_has_ended(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def noted(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_path(tmp_path / "mix.wav") as temporary:
        temporary.write_bytes(b"sound")
    assert synced == [temporary, tmp_path]


def test_a_size_beyond_what_a_file_can_be_is_no_chunk(tmp_path):
    soundfile.write(tmp_path / "a.w64", noise(1)[0], 48_000, format="W64")
    whole = bytearray((tmp_path / "a.w64").read_bytes())
    at = whole.index(b"data") + 16
    whole[at : at + 8] = (2**64 - 1).to_bytes(8, "little")
    (tmp_path / "a.w64").write_bytes(whole)
    assert probe(tmp_path / "a.w64").n_samples == noise(1).shape[1]
