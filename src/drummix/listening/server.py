"""The web application of a listening test: what a browser may ask, and what it is told.

Nothing that a client sends ever becomes a path: pages and scripts are read at the start, audio is
found by opaque names in a table. Tokens travel in the Authorization header, never in a URL that a
log could keep.
"""

from __future__ import annotations

import asyncio
import hmac
import mimetypes
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drummix.errors import SettingError
from drummix.listening.addresses import Door, client_address
from drummix.listening.build import BuiltStudy
from drummix.listening.events import EventRefusedError
from drummix.listening.limits import RateLimit
from drummix.listening.messages import (
    MAX_BODY_BYTES,
    Invitation,
    audio_key,
    describe,
    parse_events,
    parse_message,
)
from drummix.listening.progress import progress_of
from drummix.listening.ratings import ratings_to_csv
from drummix.listening.recorder import LiveSession, NotSavedError, Recorder
from drummix.listening.results import read_ratings
from drummix.listening.store import DATABASE_NAME, ResultStore

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}

EVENTS_PER_S, EVENTS_BURST = 10.0, 60
ENROLMENTS_PER_S, ENROLMENTS_BURST = 1.0, 200
WRONG_TOKENS_PER_S, WRONG_TOKENS_BURST = 0.5, 30

UNKEPT_BYTES = 1 << 20
"""Read beyond what a message may have: who is hung up on while sending never sees the refusal."""


def create_app(built: BuiltStudy, door: Door | None = None) -> Starlette:
    """The application that serves one study.

    Args:
        built: The study, as `build_study` made it.
        door: What the server is called, and what stands before it.
    """
    endpoints = _Endpoints(built, door or Door())
    routes = [
        Route("/", endpoints.page("index.html")),
        Route("/admin", endpoints.page("admin.html")),
        Route("/static/{name}", endpoints.static),
        Route("/api/enrol", endpoints.enrol, methods=["POST"]),
        Route("/api/session", endpoints.session),
        Route("/api/events", endpoints.events, methods=["POST"]),
        Route("/api/audio/{key}", endpoints.audio),
        Route("/api/admin/progress", endpoints.progress),
        Route("/api/admin/ratings", endpoints.ratings),
        Route("/api/admin/invite", endpoints.invite, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_SecurityHeaders)],
        exception_handlers={
            _RefusedError: _refused,
            NotSavedError: _not_saved,
            ClientDisconnect: _gone,
        },
        lifespan=endpoints.lifespan,
    )


class _RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, _RefusedError)
    return JSONResponse({"error": str(error)}, error.status)


async def _not_saved(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the disk takes nothing at the moment; try again"}, 503)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


class _SecurityHeaders:
    """Puts the headers on every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in SECURITY_HEADERS.items()
                        if name.encode() not in there
                    ),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Endpoints:
    """What the routes do."""

    def __init__(self, built: BuiltStudy, door: Door) -> None:
        self._built = built
        self._door = door
        self._files = _static_files()
        self._event_limit = RateLimit(per_s=EVENTS_PER_S, burst=EVENTS_BURST)
        self._enrol_limit = RateLimit(per_s=ENROLMENTS_PER_S, burst=ENROLMENTS_BURST)
        self._wrong_limit = RateLimit(per_s=WRONG_TOKENS_PER_S, burst=WRONG_TOKENS_BURST)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        path = self._built.folder / DATABASE_NAME
        with ResultStore(path) as store, ResultStore(path, is_read_only=True) as reader:
            self._recorder = Recorder(self._built, store, reader)
            yield

    def page(self, name: str) -> Any:
        async def endpoint(request: Request) -> Response:
            return self._file(name)

        return endpoint

    async def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    async def enrol(self, request: Request) -> Response:
        if not self._built.study.open_enrolment:
            raise _RefusedError(403, "this study is by invitation: open the link you were sent")
        host = request.headers.get("host", "")
        if not self._door.is_own(host):
            raise _RefusedError(
                421, "this server has another name; the experimenter gives it by serve --url"
            )
        if not self._door.is_same_origin(request.headers.get("origin"), host):
            raise _RefusedError(
                403,
                "this page has another address than the server knows; the experimenter gives "
                "it by serve --url",
            )
        if not self._enrol_limit.allows(self._address(request), time.monotonic()):
            raise _RefusedError(429, "too many enrolments from one place; try again in a minute")
        await _body(request, 0)
        try:
            _, token = await self._recorder.enrol()
        except SettingError:
            raise _RefusedError(403, "the study is full; thank you for your interest") from None
        return JSONResponse({"token": token})

    async def session(self, request: Request) -> Response:
        live = await self._live(request)
        return JSONResponse(describe(self._built, live.session, live.state))

    async def events(self, request: Request) -> Response:
        live = await self._live(request)
        body = await _body(request, MAX_BODY_BYTES)
        if not self._event_limit.allows(live.session.session, time.monotonic()):
            raise _RefusedError(429, "too many messages; they are kept, try again in a second")
        try:
            recorded = await self._recorder.record(live, parse_events(body))
        except EventRefusedError as error:
            raise _RefusedError(400, str(error)) from None
        refused = [{"number": number, "reason": reason} for number, reason in recorded.refused]
        return JSONResponse(
            {"saved": list(recorded.saved), "refused": refused, "page": live.state.page},
            409 if refused else 200,
        )

    async def audio(self, request: Request) -> Response:
        live = await self._live(request)
        stimulus = self._stimulus(live, request.path_params["key"])
        content = await asyncio.to_thread(self._built.audio_path(stimulus).read_bytes)
        return Response(
            content,
            media_type="audio/wav",
            headers={"cache-control": "private, max-age=86400", "vary": "Authorization"},
        )

    async def progress(self, request: Request) -> Response:
        self._check_admin(request)
        return JSONResponse(await asyncio.to_thread(progress_of, self._built))

    async def ratings(self, request: Request) -> Response:
        self._check_admin(request)
        content = await asyncio.to_thread(lambda: ratings_to_csv(read_ratings(self._built.folder)))
        return Response(
            content,
            media_type="text/csv",
            headers={"content-disposition": 'attachment; filename="ratings.csv"'},
        )

    async def invite(self, request: Request) -> Response:
        self._check_admin(request)
        try:
            asked = parse_message(await _body(request, 1024), Invitation)
            if asked.again:
                session, token = await self._recorder.renew_link(asked.listener or "")
            else:
                session, token = await self._recorder.enrol(asked.listener or None)
        except (EventRefusedError, SettingError) as error:
            raise _RefusedError(400, str(error)) from None
        return JSONResponse({"listener": session.listener, "token": token})

    def _file(self, name: str) -> Response:
        if name not in self._files:
            raise _RefusedError(404, "there is nothing here")
        content, media_type = self._files[name]
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    def _stimulus(self, live: LiveSession, key: str) -> str:
        """What lies behind a key on the listener's page, or on the next to load it early."""
        for number in (live.state.page, live.state.page + 1):
            for page in live.session.plan.pages[number : number + 1]:
                for slot, planned in enumerate(page.slots):
                    if key == audio_key(self._built, live.session, number, slot):
                        return planned.stimulus
        raise _RefusedError(404, "there is nothing here")

    async def _live(self, request: Request) -> LiveSession:
        token = _bearer(request)
        live = await self._recorder.find(token) if token else None
        if live is None:
            self._count_wrong_token(request)
            raise _RefusedError(401, "this link is not, or no longer, valid")
        return live

    def _check_admin(self, request: Request) -> None:
        given = _bearer(request).encode()
        if not hmac.compare_digest(given, self._built.admin_token.encode()):
            self._count_wrong_token(request)
            raise _RefusedError(401, "the experimenter's page needs its token")

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client else "unknown"
        forwarded = request.headers.getlist("x-forwarded-for")
        return client_address(peer, forwarded, self._door.n_proxies)

    def _count_wrong_token(self, request: Request) -> None:
        if not self._wrong_limit.allows(self._address(request), time.monotonic()):
            raise _RefusedError(429, "too many wrong links; try again in a minute")


def _static_files() -> Mapping[str, tuple[bytes, str]]:
    """Pages and scripts, read once: a request picks from these and from nothing else."""
    folder = resources.files("drummix.listening") / "static"
    return {
        file.name: (file.read_bytes(), _media_type(file.name))
        for file in folder.iterdir()
        if file.is_file()
    }


def _media_type(name: str) -> str:
    # The system's table may call JavaScript anything.
    known = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
    suffix = "." + name.rpartition(".")[2]
    return known.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and len(token) <= 100 else ""


async def _body(request: Request, max_bytes: int) -> bytes:
    """The body, kept no further than allowed, whatever its header claims."""
    refusal = _RefusedError(413, f"a message may have {max_bytes} bytes")
    claimed = request.headers.get("content-length", "0")
    # Longer numbers are refused unread: Python converts none of thousands of digits.
    if not claimed.isdecimal() or len(claimed) > 15 or int(claimed) > max_bytes + UNKEPT_BYTES:
        raise refusal
    body, n_bytes = bytearray(), 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes <= max_bytes:
            body += chunk
        elif n_bytes > max_bytes + UNKEPT_BYTES:
            raise refusal
    if n_bytes > max_bytes:
        raise refusal
    return bytes(body)
