"""The explorer as an ASGI application: addresses to answers, nothing more."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from oidkit.errors import OidError, UsageError
from oidkit.explorer.guard import Guard
from oidkit.explorer.state import sieve_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from oidkit.explorer.viewer import Viewer

__all__ = ["create_app"]

_MOST_BODY = 1 << 14
_PICTURES_AT_ONCE = 12
_KEPT = {"Cache-Control": "private, max-age=3600"}
_FRESH = {"Cache-Control": "no-store"}
_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


def create_app(viewer: Viewer, *, token: str, hosts: Iterable[str]) -> ASGIApp:
    """Wire the answers of a viewer to addresses below ``/TOKEN/``.

    *hosts* are what `Host` may be, ``127.0.0.1:PORT``.
    """
    static = _static()
    routes = [
        Route("/", partial(_page, static["index.html"])),
        Route("/static/{name}", partial(_part, static)),
        Route("/api/about", _answers(lambda _: viewer.about())),
        Route("/api/images", _answers(partial(_images, viewer))),
        Route("/api/counts", _answers(lambda request: viewer.counts(_sieve(request)))),
        Route("/api/charts", _answers(lambda request: viewer.charts(_sieve(request)))),
        Route("/api/image/{split}/{image_id}", _answers(partial(_image, viewer))),
        Route("/api/review", partial(_review, viewer), methods=["POST"]),
        Route("/thumb/{split}/{image_id}.jpg", _pictures(viewer.pictures.thumbnail)),
        Route("/image/{split}/{image_id}.jpg", _pictures(viewer.pictures.image)),
        Route("/mask/{split}/{image_id}.png", _pictures(_named_png(viewer), kind="image/png")),
    ]
    return Guard(Starlette(routes=routes), token, frozenset(hosts))


def _static() -> dict[str, Response]:
    """Read the parts of the page, which are few and small."""
    found = {}
    for part in (files("oidkit.explorer") / "static").iterdir():
        kind = _TYPES.get(part.name.rpartition(".")[2])
        if kind is not None:
            found[part.name] = Response(part.read_bytes(), media_type=kind, headers=_FRESH)
    return found


async def _page(page: Response, request: Request) -> Response:
    del request
    return page


async def _part(static: dict[str, Response], request: Request) -> Response:
    name = request.path_params["name"]
    return static[name] if name in static else _absent()


def _sieve(request: Request) -> Any:
    return sieve_of(dict(request.query_params))


def _images(viewer: Viewer, request: Request) -> dict[str, Any]:
    first, count = (_whole(request, name, usual) for name, usual in (("first", 0), ("count", 100)))
    return viewer.images(_sieve(request), first=first, count=count)


def _image(viewer: Viewer, request: Request) -> dict[str, Any] | None:
    return viewer.image(**request.path_params, sieve=_sieve(request))


def _whole(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, str(usual))
    if not text.isdecimal() or len(text) > len(str(1 << 62)):
        raise UsageError(f"{name} cannot be '{text[:20]}'", remedy="give a whole number")
    return int(text)


def _answers(make: Callable[[Request], Any]) -> Any:
    """Give an endpoint that answers with JSON, worked out beside the event loop."""

    async def endpoint(request: Request) -> Response:
        with contextlib.suppress(KeyError):
            try:
                found = await run_in_threadpool(make, request)
            except OidError as error:
                return _refused(str(error), 400 if isinstance(error, UsageError) else 500)
            return _json(found) if found is not None else _absent()
        return _absent()

    return endpoint


def _pictures(give: Callable[[str, str], bytes | None], *, kind: str = "image/jpeg") -> Any:
    # Threads of their own: a picture that does not come keeps no filter from its answer.
    limiter: list[CapacityLimiter] = []

    async def endpoint(request: Request) -> Response:
        limiter[:] = limiter or [CapacityLimiter(_PICTURES_AT_ONCE)]
        found = await run_sync(give, *request.path_params.values(), limiter=limiter[0])
        return _absent() if found is None else Response(found, media_type=kind, headers=_KEPT)

    return endpoint


def _named_png(viewer: Viewer) -> Callable[[str, str], bytes | None]:
    return lambda split, stem: viewer.pictures.mask(split, f"{stem}.png")


async def _review(viewer: Viewer, request: Request) -> Response:
    """Take a verdict; only as JSON, which no form of a stranger's page can send."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refused("a verdict is sent as application/json", 415)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY:
            return _refused("this is too long for a verdict and a note", 413)
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return _refused("a verdict is an object of JSON", 400)
    try:
        return _json(await run_in_threadpool(viewer.review, given))
    except OidError as error:
        return _refused(str(error), 400 if isinstance(error, UsageError) else 500)


def _refused(text: str, status: int) -> Response:
    return _json({"error": text}, status)


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers=_FRESH, media_type="application/json")


def _absent() -> Response:
    return PlainTextResponse("There is nothing here.", 404, headers=_FRESH)
