"""The scripts for a GPU machine without a network: what is packed, and what stands in there."""

import importlib.util
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import safetensors.numpy
import soxr

from drummix import audio
from drummix.audio import Audio
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.strokes import pool_indices
from drummix.errors import CorpusError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
CHANNELS = ("Kick", "OHL")


def module_at(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


pack_training = module_at(SCRIPTS / "pack_training.py", "pack_training")


def write_kit(folder: Path, *, n_hits: int) -> Path:
    """A kit whose n-th recording, softest first, is n + 1 thousandths from start to end."""
    channels = "".join(f'<channel name="{name}"/>' for name in CHANNELS)
    (folder / "Kick").mkdir(parents=True)
    samples = ""
    for number in range(n_hits):
        files = ""
        for index, channel in enumerate(CHANNELS):
            # Some noise, so that size counts.
            noise = np.random.default_rng([number, index]).uniform(-0.01, 0.01, (1, 4000))
            recording = (0.001 * (number + 1) + noise).astype(np.float32)
            path = folder / "Kick" / f"{number}-{channel}.wav"
            audio.write(path, Audio(recording, 44_100), subtype="PCM_16")
            files += f'<audiofile channel="{channel}" file="{path.name}" filechannel="1"/>'
        samples += f'<sample name="Kick-{number}" power="{number + 1}">{files}</sample>'
    (folder / "Kick" / "Kick.xml").write_text(
        f'<instrument name="Kick" version="2.0"><samples>{samples}</samples></instrument>'
    )
    (folder / "drumkit.xml").write_text(
        f'<drumkit samplerate="44100"><channels>{channels}</channels><instruments>'
        '<instrument name="Kick" file="Kick/Kick.xml">'
        '<channelmap in="Kick" out="Kick" main="true"/></instrument></instruments></drumkit>'
    )
    (folder / "midimap.xml").write_text('<midimap><map note="36" instr="Kick"/></midimap>')
    return folder


def write_groove(folder: Path) -> Path:
    folder.mkdir()
    header = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename"
    rows = [f"{header},audio_filename,duration,split"]
    for part in ("train", "validation", "test"):
        (folder / f"{part}.mid").write_bytes(b"MThd")
        rows.append(f"d,s,{part},rock,120,beat,4-4,{part}.mid,,30.0,{part}")
    (folder / "info.csv").write_text("\n".join(rows) + "\n")
    return folder


def packed(tmp_path: Path, *, n_hits: int, max_mb: float) -> tuple[Path, list[str]]:
    kit = write_kit(tmp_path / "kits" / "one", n_hits=n_hits)
    archive = tmp_path / "training.tar.gz"
    groove = write_groove(tmp_path / "groove")
    lines = pack_training.pack(kit.parent, groove, archive, max_mb=max_mb)
    assert archive.stat().st_size <= max_mb * 1e6
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "there", filter="data")
    return tmp_path / "there" / "drummix-training", lines


def levels_of(folder: Path) -> list[int]:
    """Thousandths of each recording of the packed kit, in its order of power."""
    [instrument] = read_kit(folder / "kits" / "one").instruments.values()
    return [round(1000 * float(hit.channels["Kick"][2000:].mean())) for hit in instrument.hits]


@pytest.mark.parametrize("n_hits", [1, 3, 4, 11])
def test_a_packed_kit_has_every_recording_but_those_kept_for_tests(tmp_path, n_hits):
    there, lines = packed(tmp_path, n_hits=n_hits, max_mb=55.0)
    levels = levels_of(there)
    heard = [i + 1 for i in pool_indices(n_hits, "train")]
    assert [levels[i] for i in pool_indices(len(levels), "train")] == heard
    # Where a recording stays behind another stands again, and no place is played in training.
    assert set(levels) == set(heard)
    assert f"{len(heard)} recordings packed, 0 left out" in lines[0]
    assert f"{n_hits - len(heard)} kept for tests" in lines[0]
    assert not (there / "groove" / "test.mid").exists()
    assert (there / "groove" / "validation.mid").exists()


def test_a_small_archive_keeps_recordings_over_the_whole_range_of_loudness(tmp_path):
    there, _ = packed(tmp_path / "all", n_hits=40, max_mb=55.0)
    whole = (tmp_path / "all" / "training.tar.gz").stat().st_size / 1e6
    assert len(set(levels_of(there))) == 30
    there, lines = packed(tmp_path / "some", n_hits=40, max_mb=whole - 0.15)
    levels = levels_of(there)
    assert 3 < len(set(levels)) < 30
    assert (levels[0], levels[-1]) == (1, 40)
    assert levels == sorted(levels)
    assert f"{len(set(levels))} recordings packed" in lines[0]


def test_what_does_not_fit_at_all_is_said(tmp_path):
    with pytest.raises(CorpusError, match="not even one recording"):
        packed(tmp_path, n_hits=2, max_mb=0.1)


def test_a_kit_without_powers_is_refused(tmp_path):
    kit = write_kit(tmp_path / "kit", n_hits=2)
    text = (kit / "Kick" / "Kick.xml").read_text().replace(' power="1"', "")
    (kit / "Kick" / "Kick.xml").write_text(text)
    with pytest.raises(CorpusError, match=r"Kick\.xml has samples without power"):
        pack_training.pack(kit, write_groove(tmp_path / "groove"), tmp_path / "a.tar.gz")


def test_packing_twice_gives_the_same_bytes(tmp_path, monkeypatch):
    # The source may be under edit while this runs.
    monkeypatch.setattr(pack_training, "_source", dict)
    kit, groove = write_kit(tmp_path / "kit", n_hits=3), write_groove(tmp_path / "groove")
    for name in ("a.tar.gz", "b.tar.gz"):
        pack_training.pack(kit, groove, tmp_path / name)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_the_archive_trains_with_nothing_but_what_the_machine_has(tmp_path):
    pytest.importorskip("lightning", reason="the train extra is not installed")
    there, _ = packed(tmp_path, n_hits=3, max_mb=55.0)
    # Modules of other packages than the four (and what these need) cannot be found.
    code = f"""
import importlib.machinery, sys
folders = {[str(p) for p in sorted((there / "bare").iterdir())]!r}
sys.path[:0] = [{str(there / "src")!r}, *folders]
blocked = {{"mido", "numba", "soxr", "safetensors", "onnx", "onnxruntime", "typer",
           "auraloss", "sklearn"}}

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, folders if name in blocked else path, target)

kept = [f for f in sys.meta_path if f is not importlib.machinery.PathFinder]
sys.meta_path[:] = [*kept, Finder]
import drummix, drummix.corpus.build, drummix.nn.handover, drummix.nn.train
import mido, numba, soxr, safetensors
modules = (drummix, mido, numba, soxr, safetensors)
print(*(m.__file__ for m in modules), sep="\\n")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert all(line.startswith(str(there)) for line in run.stdout.splitlines())


def stand_in(name: str, *parts: str) -> ModuleType:
    return module_at(SCRIPTS / "bare" / Path(*parts), name)


def test_the_stand_in_for_safetensors_reads_and_writes_the_same_files():
    ours = stand_in("bare_safetensors_numpy", "safetensors", "safetensors", "numpy.py")
    rng = np.random.default_rng(0)
    tensors = {
        "b": rng.standard_normal((2, 3)).astype(np.float16),
        "a.weight": rng.standard_normal((4,)).astype(np.float32),
        "empty": np.zeros((0, 2), np.float32),
    }
    for save, load in ((ours.save, safetensors.numpy.load), (safetensors.numpy.save, ours.load)):
        found = load(save(tensors))
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert found[name].dtype == tensor.dtype
            np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 20, json.dumps({}).encode() * 9])
def test_the_stand_in_for_safetensors_refuses_other_bytes(data):
    ours = stand_in("bare_safetensors_numpy", "safetensors", "safetensors", "numpy.py")
    with pytest.raises(safetensors.SafetensorError):
        ours.load(data)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 29_761), (29_761, 44_100)])
def test_the_stand_in_for_soxr_gives_the_plate_the_same_sound(from_hz, to_hz):
    ours = stand_in("bare_soxr", "soxr", "soxr.py")
    time_s = np.arange(from_hz // 4) / from_hz
    tone = np.sin(2 * np.pi * 5_000 * time_s) * np.hanning(len(time_s))
    frames = np.stack([tone, 0.5 * tone], axis=1).astype(np.float32)
    expected, found = soxr.resample(frames, from_hz, to_hz), ours.resample(frames, from_hz, to_hz)
    n_frames = min(len(expected), len(found))
    assert abs(len(expected) - len(found)) <= 1
    # Both are transparent at 5 kHz; what differs is ripple below -60 dB.
    np.testing.assert_allclose(found[:n_frames], expected[:n_frames], atol=1e-3)


def test_the_stand_in_for_numba_leaves_functions_as_they_are():
    njit = stand_in("bare_numba", "numba", "numba.py").njit

    def double(x: int) -> int:
        return 2 * x

    assert njit(double) is double
    assert njit(cache=True, inline="always")(double) is double


@pytest.mark.parametrize("script", ["pack_training.sh", "train_gpu.sh"])
def test_a_script_without_arguments_says_what_it_takes(script):
    run = subprocess.run(["bash", SCRIPTS / script], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"scripts/{script}" in run.stderr
    assert run.stdout == ""
