"""Whose request it is, and whether it was meant for this server.

In: what a request says of itself. What a client can write itself is believed only where nothing
hangs on it: a forwarded address as far as trusted proxies wrote it, a name of this server if it is
the one that the experimenter gave, or could not have been made up by a foreign page.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from drummix.errors import SettingError


def check_url(url: str) -> str:
    """The address of a server, without a slash at its end.

    Raises:
        SettingError: If it is none.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        is_url = is_url and (parts.port is None or parts.port > 0) and not parts.fragment
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or " " in url:
        raise SettingError("url", url, "expected an address such as https://listen.example.org")
    return url.rstrip("/")


def client_address(peer: str, forwarded: Sequence[str], n_proxies: int) -> str:
    """The client's address.

    Each proxy adds the address that it was asked from at the right end of X-Forwarded-For, so the
    one farthest away that can be believed is that many places from the right.

    Args:
        peer: Who the connection comes from.
        forwarded: Every X-Forwarded-For header, in order.
        n_proxies: How many proxies stand before the server.

    >>> client_address("10.0.0.1", ["6.6.6.6, 203.0.113.5"], 1)
    '203.0.113.5'
    >>> client_address("10.0.0.1", ["203.0.113.5"], 0)
    '10.0.0.1'
    """
    named = [one.strip() for header in forwarded for one in header.split(",") if one.strip()]
    # Fewer than there should be: somebody came past a proxy, and is who connects.
    return named[-n_proxies][:60] if 0 < n_proxies <= len(named) else peer


@dataclass(frozen=True)
class Door:
    """What a server is called, and what stands before it.

    Args:
        url: Where listeners reach it; empty where nobody said.
        n_proxies: How many proxies stand before it.
    """

    url: str = ""
    n_proxies: int = 0

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this server.

        A page elsewhere can give its own name this server's address, but cannot be an address, nor
        a name that no public name server tells.
        """
        name = _hostname(f"http://{host}")
        own = {"localhost", socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        return name in own or name == _hostname(self.url) or _is_address(name)

    def is_same_origin(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from a page of this server, or from no page at all."""
        if origin is None:
            return True
        if self.url and _origin(origin) == _origin(self.url):
            return True
        return urlsplit(origin).netloc.lower() == host.lower() if _origin(origin) else False


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _origin(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return (parts.scheme, parts.netloc.lower()) if parts.netloc else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
