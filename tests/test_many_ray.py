"""Corpora rendered and measured over Ray, started here with two workers; skipped without Ray."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.cli import app
from drummix.corpus.build import render_corpus
from drummix.corpus.manifest import file_sha256
from drummix.corpus.plan import CorpusSettings
from drummix.errors import CorpusError, WorkerError
from drummix.evaluation import evaluate, make_report
from drummix.evaluation.robustness import measure_robustness
from drummix.pool import work
from drummix.pool.ray_hosts import ray_hosts
from made import write_groove, write_kit

pytest.importorskip("ray", reason="Ray is not installed: pip install 'drummix[ray]'")

SYSTEMS = ["unity", "static"]


@pytest.fixture(scope="module", autouse=True)
def connected() -> Iterator[None]:
    """Ray, started once for all tests: that takes seconds."""
    with ray_hosts(list, "local", n_hosts=2, n_jobs=2, cores=2):
        yield


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_kit(folder / "kit")
    write_groove(folder / "groove", {"train": 2, "test": 2})
    index = folder / "groove" / "info.csv"
    # Long enough for what the command renders.
    index.write_text(index.read_text().replace(",1.5,", ",8.5,"))
    return folder


@pytest.fixture(scope="module")
def corpus(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    render_corpus(settings_for(sources), folder)
    return folder


def settings_for(sources: Path) -> CorpusSettings:
    kit, groove = str(sources / "kit"), str(sources / "groove")
    return CorpusSettings((kit,), groove, {"train": None, "test": None})


def checksums(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def test_two_ray_workers_render_the_same_bytes_from_relative_paths(
    sources: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sources").symlink_to(sources)
    options = ["--kit", "sources/kit", "--groove", "sources/groove", "--parts", "train,test"]
    command = ["corpus", "render", *options, "--out", "c", "--ray", "local", "--workers", "2"]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == "c/manifest.csv\n"
    assert checksums(tmp_path / "c") == checksums(corpus)


def test_two_ray_workers_measure_the_same_numbers(corpus: Path, tmp_path: Path) -> None:
    here = evaluate(corpus, systems=SYSTEMS)
    assert evaluate(corpus, systems=SYSTEMS, ray="local").to_csv() == here.to_csv()
    options = ["--systems", ",".join(SYSTEMS), "--ray", "local", "--workers", "2"]
    report = ["-o", str(tmp_path / "report"), "--csv", str(tmp_path / "numbers.csv")]
    ran = CliRunner().invoke(app, ["evaluate", str(corpus), *options, *report])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "numbers.csv").read_text() == here.to_csv()
    # Workers kept their mixes in the report's folder, so nothing is left to do.
    calls: list[Any] = []
    make_report(
        corpus, tmp_path / "report", rng=np.random.default_rng(0), systems=SYSTEMS,
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    assert calls == []


def test_two_ray_workers_find_the_same_robustness(corpus: Path, tmp_path: Path) -> None:
    here = measure_robustness(corpus, rng=np.random.default_rng(0), systems=["unity"])
    options = ["--systems", "unity", "--ray", "local", "--csv", str(tmp_path / "rows.csv")]
    ran = CliRunner().invoke(app, ["robustness", str(corpus), *options])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "rows.csv").read_text() == here.to_csv()


def hide_while_workers_start(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the workers run where a folder of this machine cannot be found."""

    @contextmanager
    def elsewhere(*arguments: Any, **options: Any) -> Iterator[Any]:
        with ray_hosts(*arguments, **options) as hosts:
            folder.rename(folder.with_name("hidden"))
            try:
                yield hosts
            finally:
                folder.with_name("hidden").rename(folder)

    monkeypatch.setattr(work, "ray_hosts", elsewhere)


@pytest.mark.parametrize(
    "measure",
    [
        lambda corpus, sources: evaluate(corpus, systems=["unity"], ray="local"),
        lambda corpus, sources: measure_robustness(
            corpus, rng=np.random.default_rng(0), systems=["unity"], ray="local"
        ),
        lambda corpus, sources: render_corpus(settings_for(sources), corpus, ray="local"),
    ],
    ids=["evaluate", "robustness", "render"],
)
def test_a_corpus_that_the_workers_do_not_see_is_one_line(
    measure: Any, corpus: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(corpus, folder)
    hide_while_workers_start(monkeypatch, folder)
    next((folder / "items").iterdir()).unlink()  # something to render
    with pytest.raises(WorkerError, match=r"^\S+/c is not there on \S+; every machine") as caught:
        measure(folder, sources)
    assert "\n" not in str(caught.value)


def test_items_that_do_not_arrive_are_one_line(
    corpus: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(corpus, folder)
    next((folder / "items").iterdir()).unlink()

    @contextmanager
    def on_a_disk_of_its_own(*arguments: Any, **options: Any) -> Iterator[Any]:
        with ray_hosts(*arguments, **options) as hosts:
            # The same path, and another disk below it.
            shared = folder.rename(tmp_path / "shared")
            shutil.copytree(shared, folder)
            for host in hosts:
                submit = host.submit

                def submitted(job: Any, submit: Any = submit) -> Any:
                    future = submit(job)
                    future.exception()
                    shutil.rmtree(folder)
                    shared.rename(folder)
                    return future

                host.submit = submitted
            yield hosts

    monkeypatch.setattr(work, "ray_hosts", on_a_disk_of_its_own)
    with pytest.raises(CorpusError, match=r"was rendered, but .* does not hold it here"):
        render_corpus(settings_for(sources), folder, ray="local", workers=1)
