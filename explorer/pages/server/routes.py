"""The server around the pages: start and end of the run service, and the routes of live data."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import plotly
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route
from streamlit import config
from streamlit.runtime import Runtime

from explorer.pages.compare import feed
from explorer.pages.compare.first_paint import index_page, other_page, plain_page, streamlit_page
from explorer.pages.instruments import feed as instrument_feed
from explorer.pages.instruments import files as instrument_files
from explorer.pages.runs import files as run_files
from explorer.pages.server.askers import server
from explorer.pages.server.door import LOOPBACK, WILD, Door, Guests, is_this_machine, page
from explorer.pages.server.rights import ALLOW, GRANTS, allowed, open_words, unknown_grants
from explorer.pages.server.upload_room import UploadRoom
from explorer.pages.server.visitors import get_service
from explorer.pages.shared.escape import warn
from explorer.pages.shared.style import ASSETS
from explorer.pages.shared.words import PAGES
from explorer.system.process_memory import give_back
from explorer.system.trouble import in_a_sentence

log = logging.getLogger("skipscope.server")
TIDY_SECONDS = 20.0
T = TypeVar("T")
F = TypeVar("F")
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


def open_home() -> None:
    """Opens Skipscope's folder, or ends the process with one sentence before anything is served."""
    try:
        get_service()
    except Exception as error:
        sys.exit(_told(error))


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Warm workers from the server's start to its end; nothing is left running after it."""
    _tell_who_may()
    server.runs = True
    service = await run_in_threadpool(get_service)
    tidying = asyncio.create_task(_tidy())
    try:
        yield
    finally:
        tidying.cancel()
        await run_in_threadpool(service.close)


@cache
def guests() -> Guests:
    """Streamlit's ``server.allowedHosts``, ``.corsAllowedOrigins`` and ``.baseUrlPath``."""
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return Guests(
        hosts=tuple(h for h in config.get_option("server.allowedHosts") if not is_this_machine(h)),
        origins=tuple(o.strip() for o in config.get_option("server.corsAllowedOrigins")),
        base=f"/{base}" if base else "",
    )


def middleware() -> list[Middleware]:
    """The door, around everything: Streamlit's own addresses too; and bounds of what is brought."""
    largest = int(config.get_option("server.maxUploadSize")) << 20
    return [
        Middleware(Door, guests=guests(), index=streamlit_page()),
        Middleware(UploadRoom, held=uploads_held, largest=largest, base=guests().base),
    ]


def _tell_who_may() -> None:
    """Opens Streamlit's own socket to whom the door lets in, and says what an open server means."""
    known, address = guests(), str(config.get_option("server.address") or "")
    wide = not is_this_machine(address)
    # Streamlit's list knows names alone: where plain addresses may be typed, the door decides.
    names = dict.fromkeys([*LOOPBACK, address])  # 127.0.0.2 is this machine, too
    hosts = ["*"] if wide else [*names, *(host.partition(":")[0] for host in known.hosts)]
    config.set_option("server.allowedHosts", hosts)
    for word in unknown_grants(os.environ.get(ALLOW, "")):
        print(f"{ALLOW} has {word!r}, which means nothing: choose of {', '.join(GRANTS)}.")
    if wide or known.behind_proxy:
        where = ", ".join([*([address or "all addresses"] if wide else []), *known.hosts])
        name = known.machine[0] if address in ("", *WILD) else address
        others = f"http://{name}:{config.get_option('server.port')}{known.base}" if wide else ""
        print(open_words(where, allowed(), others), flush=True)


async def _tidy() -> None:
    """Closed tabs' uploads leave the memory, whether or not anybody else comes."""
    tabs: set[str] = set()
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        try:
            still = open_tabs()
            if tabs - still:
                forget_uploads(still)
                await run_in_threadpool(give_back)
            tabs = still
        except Exception:  # of one time; the next is another
            log.exception("closed tabs could not be tidied up")


def open_tabs() -> set[str]:
    """Ids of the tabs that are open, or were within the two minutes in which one may come back.

    Streamlit drops a tab that was closed longer ago only when it looks at its list, which it does
    when another visitor comes; this looks at it.
    """
    return {info.session.id for info in Runtime.instance()._session_mgr.list_sessions()}


def uploads_held() -> dict[str, int]:
    """By tab: bytes of its uploads in memory."""
    uploads: Any = Runtime.instance().uploaded_file_mgr
    return {
        tab: sum(len(file.data) for file in list(files.values()))
        for tab, files in list(uploads.file_storage.items())
    }


def forget_uploads(still: Collection[str]) -> None:
    """Uploads of all other tabs leave the memory: a closed tab may wait long for its collector."""
    uploads: Any = Runtime.instance().uploaded_file_mgr
    for tab in set(uploads.file_storage) - set(still):
        uploads.remove_session_files(tab)


async def _caught(work: Callable[[], T], otherwise: Callable[[str], F]) -> T | F:
    """What ``work`` returns, or ``otherwise`` of a sentence: no route answers with a stack."""
    try:
        return await run_in_threadpool(work)
    except Exception as error:
        return otherwise(_told(error))


def _told(error: Exception) -> str:
    sentence, fault = in_a_sentence(error, "the server's log")
    if fault:
        log.error("%s", sentence, exc_info=error)
    return sentence


def on_script_error(error: Exception) -> bool:
    """The net under pages, fragments and clicks; Streamlit has written the stack to its log."""
    warn(in_a_sentence(error, "the server's log")[0])
    return True


async def _index(request: Request) -> Response:
    query = dict(request.query_params)
    # Where the cover cannot be drawn, the page beneath it says what is wrong.
    text = await _caught(lambda: index_page(get_service(), query), lambda _: plain_page())
    return page(text, guests())


async def _other_page(request: Request) -> Response:
    return page(other_page(), guests())


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _SERVED:
        return Response(status_code=404)
    path, media_type = _SERVED[name]
    return FileResponse(
        path, media_type=media_type, headers={"Cache-Control": "public, max-age=604800"}
    )


async def _feed(request: Request) -> Response:
    query = dict(request.query_params)
    body = await _caught(lambda: feed.answer(query), feed.no_answer)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _job(request: Request) -> Response:
    job = request.query_params.get("id", "")
    answer = await _caught(lambda: feed.job_answer(job), lambda sentence: {"text": sentence})
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def _instrument(request: Request) -> Response:
    query = dict(request.query_params)
    body = await _caught(lambda: instrument_feed.answer(query), instrument_feed.no_answer)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _instrument_left(request: Request) -> Response:
    await run_in_threadpool(instrument_feed.left, dict(request.query_params))
    return Response(status_code=204)


async def _download(request: Request) -> Response:
    query = dict(request.query_params)
    problem = await _caught(lambda: instrument_feed.download(query), str)
    return JSONResponse({"problem": problem}, headers={"Cache-Control": "no-store"})


async def _instrument_file(request: Request) -> Response:
    query = dict(request.query_params)
    file = await _caught(lambda: instrument_files.download(query), str)
    if isinstance(file, str):
        return Response(file, status_code=409, media_type="text/plain")
    body, media_type, name = file
    saved = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(body, media_type=media_type, headers={"Cache-Control": "no-store", **saved})


async def _run_file(request: Request) -> Response:
    query = dict(request.query_params)
    file = await _caught(lambda: run_files.download(query), str)
    if isinstance(file, str):
        return page(run_files.dead_end(file), guests(), 409)
    saved = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
    return StreamingResponse(
        file.pieces, media_type=file.media_type, headers={"Cache-Control": "no-store", **saved}
    )


def routes() -> list[BaseRoute]:
    """Everything that the page's live parts ask for; nothing here changes a run."""
    base = guests().base
    return [
        Route(base + path, answer, methods=[method])
        for path, answer, method in (
            ("/", _index, "GET"),
            *((f"/{name}", _other_page, "GET") for name in PAGES),
            ("/skipscope/assets/{name}", _asset, "GET"),
            ("/skipscope/feed", _feed, "GET"),
            ("/skipscope/job", _job, "GET"),
            ("/skipscope/instrument", _instrument, "GET"),
            ("/skipscope/instrument/left", _instrument_left, "POST"),
            ("/skipscope/download", _download, "POST"),
            ("/skipscope/instrument/file", _instrument_file, "GET"),
            ("/skipscope/run/file", _run_file, "GET"),
        )
    ]
