"""Reading stretches of files, disturbing clips, and clips rendered on the fly."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from drummix.audio.excerpt import read_excerpt, read_mono_excerpts
from drummix.errors import AudioFileError

RATE_HZ = 44100

CODINGS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("wav", "PCM_U8"),
    ("wav", "ULAW"),
    ("wavex", "PCM_24"),
    ("rf64", "PCM_24"),
    ("flac", "PCM_24"),
    ("aiff", "PCM_24"),
]


def sound_file(folder: Path, container: str, coding: str, n_channels: int) -> Path:
    samples = 0.3 * np.random.default_rng(0).standard_normal((3000, n_channels))
    suffix = "wav" if container.startswith("wav") else container
    path = folder / f"{container}-{coding}-{n_channels}.{suffix}"
    soundfile.write(path, samples.clip(-1, 1), RATE_HZ, coding, format=container.upper())
    return path


@pytest.mark.parametrize(("start", "n_samples"), [(-20, 100), (0, 3000), (1, 7), (2990, 50)])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(("container", "coding"), CODINGS)
def test_a_stretch_is_the_same_as_out_of_the_whole_file(
    tmp_path, container, coding, n_channels, start, n_samples
):
    path = sound_file(tmp_path, container, coding, n_channels)
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    padded = np.zeros((n_channels, 5000), np.float32)
    padded[:, 1000 : 1000 + whole.shape[1]] = whole
    stretch = read_excerpt(path, start, n_samples)
    assert stretch.dtype == np.float32
    assert np.array_equal(stretch, padded[:, 1000 + start : 1000 + start + n_samples])


def test_sound_after_other_chunks_is_found_and_a_cut_off_file_is_read_as_far_as_it_goes(tmp_path):
    path = sound_file(tmp_path, "wav", "PCM_24", 1)
    whole = path.read_bytes()
    at = whole.index(b"data")
    extra = b"note" + (9).to_bytes(4, "little") + b"nine byte" + b"\0"
    size = int.from_bytes(whole[4:8], "little") + len(extra)
    with_note = tmp_path / "note.wav"
    with_note.write_bytes(whole[:4] + size.to_bytes(4, "little") + whole[8:at] + extra + whole[at:])
    assert np.array_equal(read_excerpt(with_note, 0, 3000), read_excerpt(path, 0, 3000))
    short = tmp_path / "short.wav"
    short.write_bytes(whole[:-3000])
    heard = read_excerpt(short, 0, 3000)
    assert np.array_equal(heard[:, :2000], read_excerpt(path, 0, 2000))
    assert not heard[:, 2000:].any()


def test_files_of_a_session_come_as_rows_and_a_microphone_that_is_not_there_is_silence(tmp_path):
    paths = [sound_file(tmp_path, kind, "PCM_24", 1) for kind in ("wav", "flac")]
    rows = read_mono_excerpts([paths[0], None, paths[1]], -5, 50)
    assert np.array_equal(rows[:1], read_excerpt(paths[0], -5, 50))
    assert not rows[1].any()
    assert np.array_equal(rows[2:], read_excerpt(paths[1], -5, 50))


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_a_stereo_file_where_mono_is_expected_is_refused(tmp_path, container):
    path = sound_file(tmp_path, container, "PCM_24", 2)
    with pytest.raises(AudioFileError, match=rf"{container}.* has 2 channels; expected 1"):
        read_mono_excerpts([path], 0, 10)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVE", b"RIFF" + 600 * b"\0", b"no sound"])
def test_what_is_no_sound_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"broken\.wav"):
        read_excerpt(path, 0, 10)
