"""How every fuzz command runs: its options, its clock, its limits, and what it prints."""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from drummix.errors import DrummixError

LONGEST_S = 5.0
"""No input may keep a reader busy for longer."""

MAX_GROWTH_BYTES = 2 << 30
"""Nor may it make the process take so much more memory."""


class TooLongError(BaseException):
    """A case took longer than `LONGEST_S`; no handler of errors may swallow it."""


@dataclass(frozen=True)
class Case:
    """One damaged input.

    Args:
        target: What reads it, in a word or two.
        shown: The input as it is printed where it is a finding.
        run: Gives it to drummix; a value or a `DrummixError` is as it should be.
    """

    target: str
    shown: str
    run: Callable[[], object]


MakeCase = Callable[[random.Random], Case]


def fuzz(make_case: MakeCase, words: Sequence[str] | None = None) -> int:
    """Run cases until the time is over, or the one that is to be repeated.

    Args:
        make_case: Draws a case; the same draws make the same case.
        words: The command line.

    Returns:
        The exit status: 1 on a finding.
    """
    parser = argparse.ArgumentParser(description="Try damaged input; exit 1 on a finding.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other cases")
    parser.add_argument("--case", type=int, help="repeat this one alone, as a finding names it")
    options = parser.parse_args(words)
    _limit_memory()
    counts: Counter[str] = Counter()
    start_s, slowest_s = time.monotonic(), 0.0
    number = first = options.case or 0
    while number == first or (
        options.case is None and time.monotonic() - start_s < options.seconds
    ):
        case = make_case(random.Random(f"{options.seed}/{number}"))
        case_start_s = time.monotonic()
        problem = problem_of(case, counts)
        slowest_s = max(slowest_s, time.monotonic() - case_start_s)
        if problem is not None:
            print(f"FOUND in {case.target}, --seed {options.seed} --case {number}: {problem}")
            print(case.shown)
            return 1
        number += 1
    print(
        f"{number - first} cases of {len({name.rpartition(':')[0] for name in counts})} kinds, "
        f"seed {options.seed}: {sum(n for k, n in counts.items() if k.endswith(':value'))} values, "
        f"{sum(n for k, n in counts.items() if k.endswith(':error'))} errors of one line, "
        f"the slowest {slowest_s:.2f} s"
    )
    return 0


def problem_of(case: Case, counts: Counter[str]) -> str | None:
    """What is wrong with the outcome of a case; None if nothing is."""
    try:
        with _alarm(LONGEST_S):
            case.run()
    except DrummixError as error:
        counts[f"{case.target}:error"] += 1
        message = str(error)
        is_one_line = message.splitlines() == [message]
        return None if is_one_line else f"not one line: {type(error).__name__}: {message!r}"
    except TooLongError:
        return f"it took longer than {LONGEST_S:g} s"
    except BaseException:  # whatever else it is, it is a finding
        return traceback.format_exc()
    counts[f"{case.target}:value"] += 1
    return None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _limit_memory() -> None:
    """Let an allocation of a damaged size fail, rather than the machine."""
    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no file of ours
        n_bytes = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes + MAX_GROWTH_BYTES, hard))
