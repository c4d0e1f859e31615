"""The card of a trained network says what levels its stems had."""

import json
from pathlib import Path

import numpy as np
import pytest

from drummix.corpus.enst import EnstItem, published_split
from drummix.corpus.manifest import CorpusItem
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.config import ClipSettings, TrainSettings

pytest.importorskip("torch", reason="the train extra is not installed")

from drummix.nn.clips import ClipSource
from drummix.nn.export import export_model
from drummix.nn.wave_unet import WaveUNet

SMALL = WaveUNetConfig(levels=2, filters=2)
ENST = EnstItem("enst-1", "train", published_split()[0], Path("enst"), {}, 44_100, 88_200)
RENDERED = CorpusItem(
    item="rendered-1",
    part="train",
    kit="kit",
    performance="groove",
    style="rock",
    seed=0,
    engineer=1,
    licence="none",
    rate_hz=44_100,
    n_samples=44_100,
    extension="wav",
    stem_peak_dbfs=-6.0,
    dry_peak_dbfs=-6.0,
    wet_peak_dbfs=-6.0,
    sha256="",
)
STAGED = {"enst-1": np.zeros(8)}


@pytest.mark.parametrize(
    ("items", "level_gains_db", "expected"),
    [
        ([ENST], {}, "recorded"),
        ([RENDERED], {}, "staged"),
        ([ENST], STAGED, "staged"),
        ([ENST, RENDERED], {}, "staged"),
    ],
    ids=["enst", "rendered", "enst brought to its levels", "both"],
)
def test_card_says_staged_where_stems_were_heard_at_the_levels_of_gain_staging(
    tmp_path, items, level_gains_db, expected
):
    located = tuple((tmp_path, item) for item in items)
    source = ClipSource(located, "dry", SMALL, ClipSettings(), level_gains_db)
    settings = TrainSettings("net", "dry", ("corpus",), str(tmp_path), network=SMALL)
    folder = export_model(
        WaveUNet(SMALL),
        settings,
        rate_hz=44_100,
        sources={"train": source, "validation": source},
    )
    assert json.loads((folder / "model.json").read_text())["input_levels"] == expected
