"""How much one client may ask of the server."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class _Bucket:
    tokens: float
    at_s: float


class RateLimit:
    """A bucket of tokens for each client: short bursts pass, a steady flood does not.

    Args:
        per_s: Requests a second that may go on for ever.
        burst: Requests at once.
        max_clients: Clients remembered; the ones not seen for longest are forgotten first.
    """

    def __init__(self, *, per_s: float, burst: int, max_clients: int = 10_000) -> None:
        self._per_s = per_s
        self._burst = burst
        self._max_clients = max_clients
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allows(self, client: str, now_s: float) -> bool:
        """Whether this client may go on; each yes costs it a token."""
        bucket = self._buckets.pop(client, None) or _Bucket(self._burst, now_s)
        bucket.tokens = min(self._burst, bucket.tokens + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        self._buckets[client] = bucket
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True
