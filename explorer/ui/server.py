"""The server around the pages: start and end of the run service, and the routes of live data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import plotly
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route

from explorer.errors import SkipscopeError
from explorer.runs.service import get_service
from explorer.ui import feed, instrument_feed, instrument_files, run_files
from explorer.ui.cover import index_page, other_page
from explorer.ui.style import ASSETS
from explorer.ui.words import PAGES

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_SERVED = {
    "skipscope.js": (ASSETS / "skipscope.js", "text/javascript"),
    "cover.js": (ASSETS / "cover.js", "text/javascript"),
    "repairs.js": (ASSETS / "repairs.js", "text/javascript"),
    "page.css": (ASSETS / "page.css", "text/css"),
    "instruments.js": (ASSETS / "instruments.js", "text/javascript"),
    "kept_text.js": (ASSETS / "kept_text.js", "text/javascript"),
    "plotly.min.js": (_PLOTLY, "text/javascript"),
}


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Warm workers from the server's start to its end; nothing is left running after it."""
    service = await run_in_threadpool(get_service)
    try:
        yield
    finally:
        await run_in_threadpool(service.close)


async def _index(request: Request) -> Response:
    text = await run_in_threadpool(index_page, get_service(), dict(request.query_params))
    return HTMLResponse(text, headers={"Cache-Control": "no-cache"})


async def _other_page(request: Request) -> Response:
    return HTMLResponse(other_page(), headers={"Cache-Control": "no-cache"})


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _SERVED:
        return Response(status_code=404)
    path, media_type = _SERVED[name]
    return FileResponse(
        path, media_type=media_type, headers={"Cache-Control": "public, max-age=604800"}
    )


async def _feed(request: Request) -> Response:
    body = await run_in_threadpool(feed.answer, dict(request.query_params))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _job(request: Request) -> Response:
    answer = await run_in_threadpool(feed.job_answer, request.query_params.get("id", ""))
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def _instrument(request: Request) -> Response:
    body = await run_in_threadpool(instrument_feed.answer, dict(request.query_params))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _instrument_file(request: Request) -> Response:
    try:
        body, media_type, name = await run_in_threadpool(
            instrument_files.download, dict(request.query_params)
        )
    except SkipscopeError as error:
        return Response(str(error), status_code=409, media_type="text/plain")
    saved = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(body, media_type=media_type, headers={"Cache-Control": "no-store", **saved})


async def _run_file(request: Request) -> Response:
    try:
        file = await run_in_threadpool(run_files.download, dict(request.query_params))
    except SkipscopeError as error:
        return HTMLResponse(run_files.dead_end(str(error)), 409)
    saved = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
    return StreamingResponse(
        file.pieces, media_type=file.media_type, headers={"Cache-Control": "no-store", **saved}
    )


def routes() -> list[BaseRoute]:
    """Everything that the page's live parts ask for; reading only, nothing here changes a run."""
    return [
        Route("/", _index),
        *(Route(f"/{name}", _other_page) for name in PAGES),
        Route("/skipscope/assets/{name}", _asset),
        Route("/skipscope/feed", _feed),
        Route("/skipscope/job", _job),
        Route("/skipscope/instrument", _instrument),
        Route("/skipscope/instrument/file", _instrument_file),
        Route("/skipscope/run/file", _run_file),
    ]
