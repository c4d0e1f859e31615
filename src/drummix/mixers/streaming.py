"""A stream that is worked on ahead of whoever takes from it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Block = TypeVar("Block")


def ahead(blocks: Iterator[Block], *, threads: int = 2) -> Iterator[Block]:
    """The same blocks, each made in a thread of its own while the one before is in use.

    What is raised while a block is made is raised where it would have been taken.

    Args:
        blocks: A stream; nothing else may take from it.
        threads: Threads that may be used; with one, blocks are made when they are taken.
    """
    if threads == 1:
        yield from blocks
        return
    with ThreadPoolExecutor(1, "drummix-ahead") as pool:
        # A second one waits in line, so that the thread need not stop between two.
        waiting = [pool.submit(next, blocks, None) for _ in range(2)]
        while (block := waiting.pop(0).result()) is not None:
            waiting.append(pool.submit(next, blocks, None))
            yield block
