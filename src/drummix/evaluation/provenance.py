"""Where figures come from: the commit, the machine and the versions behind them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_CPU_LINES = ("model name", "Model", "Hardware")


@dataclass(frozen=True)
class Provenance:
    """What a figure has to be printed with.

    Args:
        drummix: Version of drummix.
        commit: Commit of the checkout that ran, with what differs from it; empty for an installed
            package.
        machine: Processor and cores.
        software: Operating system, Python, and what runs the networks.
    """

    drummix: str
    commit: str
    machine: str
    software: str

    def to_mapping(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        commit = f", commit {self.commit}" if self.commit else ""
        return f"drummix {self.drummix}{commit}; {self.machine}; {self.software}"


def provenance() -> Provenance:
    """That of this very process."""
    cores = os.cpu_count() or 1
    return Provenance(
        drummix=importlib.metadata.version("drummix"),
        commit=_commit(),
        machine=f"{_processor()}, {cores} core{'s' if cores > 1 else ''}",
        software=(
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
            f"numpy {importlib.metadata.version('numpy')}"
        ),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in _CPU_LINES and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Short hash of the checkout that the package lies in, and whether its code was changed."""
    head = _git("rev-parse", "--short", "HEAD")
    if not head or not _git("ls-files", "--error-unmatch", str(_PACKAGE / "__init__.py")):
        return ""
    return f"{head} with changes" if _git("status", "--porcelain", "--", str(_PACKAGE)) else head


def _git(*arguments: str) -> str:
    try:
        run = subprocess.run(
            ["git", "-C", str(_PACKAGE), *arguments],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
