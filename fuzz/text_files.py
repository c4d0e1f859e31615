"""Damaged text files, settings, styles, cards, corpora, kits, records and logs, and MIDI."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import mido
import numpy as np

from drummix import audio
from drummix.audio import Audio
from drummix.batch.finding import session_files
from drummix.batch.outcome import Outcome
from drummix.batch.record import Job, inputs_of, recorded_outcome, write_record
from drummix.corpus.checking import check_corpus
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.groove import read_groove_index, read_midi
from drummix.corpus.hits import read_item_hits
from drummix.corpus.manifest import (
    CorpusItem,
    combined_sha256,
    file_sha256,
    write_item_record,
    write_manifest,
)
from drummix.corpus.opening import open_corpus
from drummix.corpus.splits import Split, write_split
from drummix.effects.chain import Chain, Effect
from drummix.evaluation.cache import ResultCache, ResultKey, StoredResult
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.forest.trees import read_forest
from drummix.mixers.style import Style, StyleMic, read_style
from drummix.mixers.weights import SHIPPED_FOLDER, load_model, parameter_shapes, write_model
from drummix.nn.config import read_train_settings
from drummix.nn.curve import read_log, write_log
from drummix.roles import PAPER_ROLES, Role
from drummix.session import open_session
from fuzz.mutations import mutate
from fuzz.running import Case, fuzz

RATE_HZ = 44_100
_SHOWN_BYTES = 4000


@dataclass(frozen=True)
class Target:
    """A file and what reads it.

    Args:
        name: What it is.
        path: The file, which is good between cases.
        read: Reads it.
    """

    name: str
    path: Path
    read: Callable[[], object]

    def case(self, rng: random.Random) -> Case:
        """The file with some damage."""
        good = self.path.read_bytes()
        damaged = mutate(good, rng)

        def run() -> object:
            self.path.write_bytes(damaged)
            try:
                return self.read()
            finally:
                self.path.write_bytes(good)

        return Case(self.name, f"{damaged[:_SHOWN_BYTES]!r} ({len(damaged)} bytes)", run)


def targets(folder: Path) -> list[Target]:
    """Good files of every kind, in a folder, and what reads each of them."""
    return [
        *_settings_targets(folder),
        *_model_targets(folder),
        *_corpus_targets(folder / "corpus"),
        *_source_targets(folder),
        *_record_targets(folder),
        *(_run_targets(folder / "run") if find_spec("torch") and find_spec("lightning") else ()),
    ]


def _sound(path: Path, n_channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (n_channels, 500))
    audio.write(path, Audio(noise.astype(np.float32), RATE_HZ), subtype="PCM_16")


def _settings_targets(folder: Path) -> list[Target]:
    takes = folder / "takes"
    for name in ("take 1", "Kick", "foo", "Gtr 1"):
        _sound(takes / f"{name}.wav")
    settings = takes / "session.toml"
    settings.write_text('ignore = ["foo.wav", "Gtr*"]\n[roles]\nsnare = "take 1.wav"\nride = []\n')
    train = folder / "train.toml"
    train.write_text(
        'name = "a"\ntarget = "wet"\ncorpora = ["c"]\noutput = "o"\nseed = 3\nloss = "l1"\n'
        'init_from = "m"\n'
        "[network]\nlevels = 2\nfilters = 4\n[clips]\nbatch_size = 4\ndisturb = ['gain']\n"
        "[main]\nlearning_rate = 1e-3\nmax_epochs = 7\n[finetune]\npatience = 2\n"
    )
    live = folder / "live.toml"
    live.write_text(
        'name = "a"\ntarget = "dry"\noutput = "o"\nprecision = 32\n'
        '[live]\nkits = ["k", "synthkit-3"]\ngroove = "g"\nsessions = 4\nmax_item_s = 20.0\n'
    )
    flat = np.array([0.0, 1.0, 0.0, 0.0])
    mic = StyleMic(Role.KICK, "kick.wav", -3.0, 0.1, flat, flat, True, 2.5, {"share": 0.5}, -6.0)
    plate = Effect("plate", {"wet_db": -9.0, "excursion_samples": 0.0})
    bands = [{"kind": "peak", "frequency_hz": 900.0, "gain_db": 2.0}]
    bus = Chain("bus", (plate, Effect("eq", {"bands": bands}), Effect("gain", {"gain_db": 1.0})))
    style = Style("song", RATE_HZ, 1, (mic,), bus, {"taps": 4}, True).save(folder / "style.json")
    return [
        Target("session.toml", settings, lambda: open_session(takes)),
        Target("training file", train, lambda: read_train_settings(train)),
        Target("live training file", live, lambda: read_train_settings(live)),
        Target("style", style, lambda: read_style(style)),
    ]


def _model_targets(folder: Path) -> list[Target]:
    config = WaveUNetConfig(levels=2, filters=2)
    rng = np.random.default_rng(0)
    tensors = {n: rng.standard_normal(shape) for n, shape in parameter_shapes(config).items()}
    card = {"system": "waveunet-wet", "target": "wet", "architecture": config.to_mapping()}
    card |= {"roles": [role.value for role in PAPER_ROLES], "rate_hz": RATE_HZ}
    model = write_model(folder, "small", tensors, {**card, "training": {}, "metrics": {}})
    forest = folder / "forest"
    forest.mkdir()
    for path in (SHIPPED_FOLDER / "forest").iterdir():
        (forest / path.name).write_bytes(path.read_bytes())
    return [
        Target("model.json", model / "model.json", lambda: load_model(model)),
        Target("forest's model.json", forest / "model.json", lambda: read_forest(forest)),
    ]


def _item(corpus: Path, name: str, part: str) -> CorpusItem:
    item = CorpusItem(
        *(name, part, "kit", f"drummer1/{name}", "rock", 1, 2, "CC0", RATE_HZ, 500, "wav"),
        *(-20.0, -20.0, -20.0, ""),
    )
    for path in item.paths(corpus):
        _sound(path, n_channels=2 if "mix" in path.parent.name else 1)
    checksums = {
        path.relative_to(corpus / "kit").as_posix(): file_sha256(path)
        for path in item.paths(corpus)
    }
    item = replace(item, sha256=combined_sha256(checksums))
    hits = [
        {"time_s": 0.1, "piece": "snare", "velocity": 90, "instrument": "Snare", "sample": 1},
        {"time_s": 0.2, "piece": "kick", "velocity": 1, "instrument": "Kick", "sample": 0},
    ]
    details = {"recordings": {"Snare": 3, "Kick": 4}, "hits": hits, "disturbance": None}
    write_item_record(corpus, item, checksums=checksums, details=details)
    return item


def _corpus_targets(corpus: Path) -> list[Target]:
    items = [_item(corpus, "a", "train"), _item(corpus, "b", "test")]
    manifest = write_manifest(corpus, items)
    settings = corpus / "corpus.json"
    settings.write_text(json.dumps({"format": 1, "settings": {"kits": ["kit"], "seed": 0}}))
    parts = {"train": ("a",), "validation": (), "test": ("b",)}
    split = write_split(corpus.parent / "split.json", Split("kit", 0.1, 0, parts), corpus=corpus)
    record = corpus / "items" / "a.json"
    return [
        Target("manifest.csv", manifest, lambda: open_corpus(corpus)),
        Target("manifest.csv, checked", manifest, lambda: check_corpus(corpus)),
        Target("corpus.json", settings, lambda: check_corpus(corpus)),
        Target("item record", record, lambda: check_corpus(corpus)),
        Target("hits of an item", record, lambda: read_item_hits(corpus, "a")),
        Target("split", split, lambda: open_corpus(split)),
    ]


def _source_targets(folder: Path) -> list[Target]:
    groove = folder / "groove"
    groove.mkdir()
    index = groove / "info.csv"
    header = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename"
    index.write_text(
        f"{header},audio_filename,duration,split\n"
        "d,s,d/s/1,rock/a,120,beat,4-4,d/1.mid,,30.5,train\n"
        'd,s,d/s/2,"funk, slow",90,fill,4-4,d/2.mid,d/2.wav,3.5,test\n'
    )
    kit = folder / "kit"
    _sound(kit / "Kick" / "1.wav")
    instrument = kit / "Kick" / "Kick.xml"
    instrument.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<instrument name="Kick" version="2.0"><samples>'
        '<sample name="1" power="0.5"><audiofile channel="Kick" file="1.wav" filechannel="1"/>'
        '</sample></samples><velocities><velocity lower="0" upper="1"><sampleref name="1" '
        'probability="1"/></velocity></velocities></instrument>\n'
    )
    (kit / "drumkit.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<drumkit name="K" samplerate="44100">'
        "<metadata><title>K</title><license>CC0</license></metadata>"
        '<channels><channel name="Kick"/></channels><instruments>'
        '<instrument name="Kick" file="Kick/Kick.xml" group="k"><channelmap in="Kick" out="Kick" '
        'main="true"/><chokes><choke instrument="Kick" choketime="60"/></chokes></instrument>'
        "</instruments></drumkit>\n"
    )
    midimap = kit / "midimap.xml"
    midimap.write_text('<midimap><map note="36" instr="Kick"/></midimap>')
    performance = groove / "1.mid"
    notes = [mido.Message("note_on", note=n, velocity=90, time=60) for n in (36, 38, 22, 49)]
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=400_000), *notes])
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(performance)
    return [
        Target("performance", performance, lambda: read_midi(performance)),
        Target("info.csv", index, lambda: read_groove_index(groove)),
        Target("kit file", kit / "drumkit.xml", lambda: read_kit(kit)),
        Target("instrument of a kit", instrument, lambda: read_kit(kit)),
        Target("note map", midimap, lambda: read_kit(kit)),
    ]


def _record_targets(folder: Path) -> list[Target]:
    cache = ResultCache(folder / "report")
    key = ResultKey("item", "unity", "", False, "drummix 1")
    cache.write("a", key, StoredResult({"wet": {"si_sdr_db": 12.5, "l1": float("nan")}}))
    kept = folder / "report" / "cache" / "a" / "unity.json"
    takes, mix = folder / "takes", folder / "mix.wav"
    _sound(mix, 2)
    job = Job("takes", takes, mix, None, folder / "record.json")
    assert session_files(takes)
    outcome = Outcome("takes", "mixed", mix, 1.5, 60.0, -14.0, -1.0, "all well")
    write_record(job, {"system": "unity", "lufs": -14.0}, inputs_of(job), outcome)
    run = folder / "log"
    run.mkdir()
    row = {"epoch": 1.0, "step": 5.0, "seconds": 1.25, "train_l1": 0.01, "validation_l1": 0.02}
    log = write_log(run, {"main": [row, row], "finetune": [row]})
    return [
        Target("kept result", kept, lambda: cache.read("a", key)),
        Target("record of a mix", job.record_path, lambda: recorded_outcome(job, {"system": "x"})),
        Target("log.csv", log, lambda: read_log(run)),
    ]


def _run_targets(run: Path) -> list[Target]:
    """What a training notes of itself; torch is loaded for its readers."""
    from drummix.nn.checks import claim_output
    from drummix.nn.config import TrainSettings
    from drummix.nn.export import read_finished

    settings = TrainSettings(name="a", target="dry", corpora=("c",), output=str(run))
    claim_output(settings)
    noted = run / "settings.json"
    finished = run / "finished.json"
    curve = [{"epoch": 1.0, "step": 5.0, "validation_l1": 0.02}]
    finished.write_text(
        json.dumps({"steps": 5, "epochs": 1, "max_epochs": 3, "best_l1": 0.1, "curve": curve})
    )
    return [
        Target("settings of a run", noted, lambda: claim_output(settings)),
        Target("end of a stage", finished, lambda: read_finished(finished)),
    ]


def main(words: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    with tempfile.TemporaryDirectory() as folder:
        found = targets(Path(folder))
        for target in found:
            target.read()  # what is good must be read, or damage would say nothing
        return fuzz(lambda rng: rng.choice(found).case(rng), words)


if __name__ == "__main__":
    sys.exit(main())
