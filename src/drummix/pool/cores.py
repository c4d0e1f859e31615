"""Cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")

_limits: list[int] = []


def limit(n_cores: int) -> None:
    """Leave the other cores to other processes from now on."""
    _limits[:] = [n_cores]


def allowed_cores() -> int:
    """Cores that this process may use: its affinity, the quota of its control groups, its limit."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas(), *_limits]))


def _quotas() -> list[int]:
    """Whole cores of each limit on this process's control groups (Linux, cgroup v2)."""
    try:
        own = _OWN_GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    path = next((line[3:] for line in own if line.startswith("0::")), "/").strip("/")
    folder, quotas = _CONTROL_GROUPS / path, []
    while True:
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            if quota != "max":
                quotas.append(-(-int(quota) // int(period)))
        except (OSError, ValueError):
            pass  # no limit there
        if folder in (_CONTROL_GROUPS, folder.parent):
            return quotas
        folder = folder.parent
