"""The rules that keep the house in order: rooms, imports, sizes, pins, the change log."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "src" / "drummix"
PYPROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]

# Each step may import the steps above it, neither its neighbours nor a step below it.
# "drummix" is the package's own __init__.py, which offers the rooms above it to a user.
ORDER: tuple[tuple[str, ...], ...] = (
    ("arrays", "errors", "progress"),
    ("notices", "plain_data"),
    ("pool",),
    ("levels",),
    ("audio",),
    ("roles",),
    ("session",),
    ("gain_staging",),
    ("inspection",),
    ("effects",),
    ("corpus", "mixers"),
    ("mixing",),
    ("batch",),
    ("matching",),
    ("forest", "nn"),
    ("evaluation",),
    ("finetuning", "listening"),
    ("picture",),
    ("demo",),
    ("drummix",),
    ("cli",),
    ("__main__",),
)
STEP = {room: step for step, rooms in enumerate(ORDER) for room in rooms}
HEAVY = ("torch", "lightning", "sklearn", "matplotlib", "onnxruntime", "starlette", "fastapi")
SOUND_FILE_MODULES = (
    "soundfile",
    "wave",
    "aifc",
    "sunau",
    "scipy.io.wavfile",
    "audioread",
    "librosa",
    "torchaudio",
)
MAX_MODULE_LINES = 450
MAX_TRACKED_BYTES = 17_000_000


def room_of(module: Path, package: Path) -> str:
    """Name the room a module belongs to: its first folder or file name under the package."""
    first = module.relative_to(package).parts[0].removesuffix(".py")
    return "drummix" if first == "__init__" else first


def imported_names(module: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) for each import, wherever in the module it stands."""
    inside = ("drummix", *module.relative_to(package).parts[:-1])
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) - node.level + 1] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def imported_room(name: str, package: Path) -> str | None:
    """Name the room that an absolute dotted name reaches; None for other people's code."""
    first, *rest = name.split(".")
    if first != "drummix":
        return None
    if rest and (rest[0] in STEP or (package / rest[0]).exists()):
        return rest[0]
    return "drummix"


def steps_backwards(package: Path) -> list[str]:
    """List each import that does not go up the order, and each room that is not in it."""
    found = []
    for module in sorted(package.rglob("*.py")):
        where = module.relative_to(package)
        room = room_of(module, package)
        if room not in STEP:
            found.append(f"{where}: room {room!r} has no place in ORDER; give it one")
            continue
        for line, name in imported_names(module, package):
            target = imported_room(name, package)
            if target is None or target == room:
                continue
            if STEP.get(target, len(ORDER)) >= STEP[room]:
                found.append(f"{where}:{line}: {room} imports {target}")
    return found


def sound_file_imports(package: Path) -> list[str]:
    """List each import of a module that reads or writes sound files, outside the room audio."""
    return [
        f"{module.relative_to(package)}:{line}: {name}"
        for module in sorted(package.rglob("*.py"))
        if room_of(module, package) != "audio"
        for line, name in imported_names(module, package)
        if any(f"{name}.".startswith(f"{banned}.") for banned in SOUND_FILE_MODULES)
    ]


def tracked_files() -> list[Path]:
    """List the files that git tracks; skip the test where this is not a checkout."""
    if not (REPO / ".git").exists():
        pytest.skip("not a git checkout, so nothing tells which files are the project's")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True
    )
    paths = [REPO / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def pins() -> dict[str, str]:
    """Read constraints.txt as {normalised name: version}."""
    lines = (REPO / "constraints.txt").read_text().splitlines()
    exact = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in exact}


def direct_requirements() -> list[Requirement]:
    """List what pyproject.toml asks for, extras and build included."""
    extras = PROJECT["optional-dependencies"].values()
    groups = [PROJECT["dependencies"], *extras, PYPROJECT["build-system"]["requires"]]
    return [Requirement(line) for group in groups for line in group]


def installed_closure(requirements: list[Requirement]) -> dict[str, str]:
    """Follow what is installed from the requirements down, as {normalised name: version}."""
    closure: dict[str, str] = {}
    waiting = [(requirement, "") for requirement in requirements]
    seen: set[tuple[str, frozenset[str], str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras), extra)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # Of an extra that is not installed here.
        closure[key[0]] = distribution.version
        below = [Requirement(line) for line in distribution.requires or []]
        waiting += [(needed, extra) for extra in ("", *requirement.extras) for needed in below]
    return closure


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write a made-up package for the checkers to read."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_rooms_import_one_way() -> None:
    found = steps_backwards(PACKAGE)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "line", "target"),
    [
        ("audio.py", "from drummix.session import Session", "session"),
        ("audio.py", "import drummix.session", "session"),
        ("audio.py", "from drummix import session", "session"),
        ("audio.py", "from . import session", "session"),
        ("mixers/unity.py", "from ..nn.wave_unet import WaveUNet", "nn"),
        ("mixers/unity.py", "def f():\n    from drummix.corpus import kit", "corpus"),
        ("corpus/render.py", "from drummix.mixers import unity", "mixers"),
        ("nn/train.py", "import drummix", "drummix"),
        ("nn/train.py", "from drummix import mix", "drummix"),
        ("listening/stats.py", "from drummix.cli import app", "cli"),
    ],
)
def test_import_check_finds_a_step_backwards(
    tmp_path: Path, module: str, line: str, target: str
) -> None:
    tree = write_tree(
        tmp_path, {"errors.py": "", "levels.py": "from .errors import X", module: line}
    )
    [found] = steps_backwards(tree)
    assert found.endswith(f"imports {target}")
    assert found.startswith(module)


def test_import_check_finds_a_room_without_a_place(tmp_path: Path) -> None:
    [found] = steps_backwards(write_tree(tmp_path, {"helpers.py": ""}))
    assert "'helpers' has no place" in found


def test_import_check_accepts_steps_forward_and_a_room_within_itself(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from .session import open_session",
        "mixers/anchor.py": "import numpy\nfrom . import unity\nfrom ..effects.eq import shelf",
        "nn/train.py": "from drummix.corpus.kit import Kit\nfrom .losses import l1",
        "cli.py": "import drummix\nfrom drummix.listening import stats",
    }
    assert steps_backwards(write_tree(tmp_path, files)) == []


def test_importing_drummix_loads_nothing_heavy() -> None:
    code = f"import sys, drummix; print(*(m for m in {HEAVY} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_what_mixes_is_loaded_without_the_effects_that_no_network_needs() -> None:
    # numba and scipy load for longer than a short mix takes: whoever needs them loads them then.
    modules = ("numba", "scipy", "matplotlib")
    code = f"import sys, drummix.mixing; print(*(m for m in {modules} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_only_audio_reads_or_writes_sound_files() -> None:
    found = sound_file_imports(PACKAGE)
    assert not found, "\n".join(found)


def test_sound_file_check_finds_each_way_to_import_one(tmp_path: Path) -> None:
    ways = "import wave\nimport soundfile as sf\nfrom scipy.io import wavfile\nimport wavelets\n"
    tree = write_tree(tmp_path, {"audio/writing.py": ways, "session.py": ways})
    assert [found.split(": ")[1] for found in sound_file_imports(tree)] == [
        "wave",
        "soundfile",
        "scipy.io.wavfile",
    ]


def test_modules_stay_small_rooms() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    too_long = [f"{p}: {n} lines" for p, n in lengths.items() if n > MAX_MODULE_LINES]
    assert not too_long, "\n".join(too_long)


def test_no_tracked_file_is_too_large_for_git() -> None:
    sizes = {path: path.stat().st_size for path in tracked_files()}
    too_large = [f"{p}: {n} bytes" for p, n in sizes.items() if n > MAX_TRACKED_BYTES]
    assert not too_large, "\n".join(too_large)


def test_change_log_speaks_of_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in ("Unreleased", PROJECT["version"])


def test_every_installed_dependency_has_an_exact_pin() -> None:
    pinned = pins()
    missing = {
        f"{name}=={version.split('+')[0]}"
        for name, version in installed_closure(direct_requirements()).items()
        if name not in pinned
    }
    assert not missing, "constraints.txt lacks:\n" + "\n".join(sorted(missing))


def test_every_pin_is_a_version_that_pyproject_accepts() -> None:
    pinned = pins()
    refused = [
        str(wanted)
        for wanted in direct_requirements()
        if not wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])
    ]
    assert refused == []


def test_every_direct_dependency_has_its_line_in_the_docs() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (REPO / "docs/dependencies.md").read_text(), re.MULTILINE)
    named = {canonicalize_name(name) for row in rows for name in row.replace("`", "").split(", ")}
    wanted = {canonicalize_name(requirement.name) for requirement in direct_requirements()}
    assert wanted - named == set()


def test_every_room_stands_in_the_architecture_page() -> None:
    page = (REPO / "docs/architecture.md").read_text()
    rooms = {room_of(module, PACKAGE) for module in PACKAGE.rglob("*.py")} - {"drummix"}
    assert {room for room in rooms if f"`{room}`" not in page} == set()


def test_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPO, capture_output=True, check=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = {p.relative_to(REPO / "src").as_posix() for p in tracked_files() if PACKAGE in p.parents}
    assert ours - packed == set()
