"""How much of the server's memory visitors' uploads may fill: so much a tab, and so much in all.

Streamlit bounds the size of one file. It keeps every file in memory while its tab is open, however
many come, also those that no page asked for: each has an address that the tab's script chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ONE_TAB, ALL_TABS = 1 << 30, 2 << 30  # bytes; four lanes' weights of 200 MB, and two such tabs
PLACE = "/_stcore/upload_file/"
FULL = (
    "The uploads of {whose} fill {most} GiB, as much as may be held at a time: close other tabs "
    "of Skipscope, wait two minutes, then try again."
)
# By tab: bytes of what is held.
Held = Callable[[], Mapping[str, int]]


class UploadRoom:
    """ASGI middleware; inside the door, around Streamlit's own routes.

    Args:
        held: What is in memory now.
        largest: Bytes of the largest file, which a request that does not say its size may have.
        base: The path under which everything lies; "" or "/name".
    """

    def __init__(self, app: ASGIApp, held: Held, largest: int, base: str = "") -> None:
        self._app, self._held, self._largest, self._base = app, held, largest, base
        self._coming: Counter[str] = Counter()  # bytes under way, by tab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._base + PLACE
        if scope["type"] != "http" or scope["method"] != "PUT" or place not in scope["path"]:
            await self._app(scope, receive, send)
            return
        tab = scope["path"].partition(place)[2].partition("/")[0]
        size = self._size(scope)
        full = self._full(tab, size)
        if full is not None:
            await PlainTextResponse(full, 413)(scope, receive, send)
            return
        self._coming[tab] += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._coming[tab] -= size
            if self._coming[tab] <= 0:
                del self._coming[tab]

    def _size(self, scope: Scope) -> int:
        said = dict(scope["headers"]).get(b"content-length", b"")
        return min(int(said), self._largest) if said.isdigit() else self._largest

    def _full(self, tab: str, size: int) -> str | None:
        """A sentence where there is no room for so many bytes more."""
        held = self._held()
        if held.get(tab, 0) + self._coming[tab] + size > ONE_TAB:
            return FULL.format(whose="this tab", most=ONE_TAB >> 30)
        if sum(held.values()) + self._coming.total() + size > ALL_TABS:
            return FULL.format(whose="all visitors", most=ALL_TABS >> 30)
        return None
