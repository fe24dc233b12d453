"""Memory that nobody uses any more goes back: closed tabs' uploads, what measurements left."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from explorer.runs.worker import main
from explorer.runs.worker.main import Worker, describe
from explorer.system.process_memory import give_back, resident
from explorer.system.trouble import in_a_sentence

CLOSED_TAB = """
import asyncio, sys
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.components.lib.local_component_registry import LocalComponentRegistry
from explorer.pages.server.routes import forget_uploads, open_tabs

class Browser:
    def write_forward_msg(self, message): pass

def storage():
    return MemorySessionStorage(ttl_seconds=0.2)

async def go():
    runtime = Runtime(RuntimeConfig(
        script_path=sys.argv[1],
        component_registry=LocalComponentRegistry(),
        media_file_storage=MemoryMediaFileStorage("/media"),
        uploaded_file_manager=MemoryUploadedFileManager("/upload"),
        session_storage=storage(),
    ))
    await runtime.start()
    uploads = runtime.uploaded_file_mgr
    tabs = [runtime.connect_session(client=Browser(), user_info={}) for _ in range(2)]
    for tab in tabs:
        uploads.add_file(tab, UploadedFileRec("one", "net.pt", "", bytes(10_000_000)))
    runtime.disconnect_session(tabs[0])
    await asyncio.sleep(0.1)
    assert open_tabs() == set(tabs)  # it may come back
    await asyncio.sleep(0.3)
    forget_uploads(open_tabs())
    assert open_tabs() == {tabs[1]}
    assert list(uploads.file_storage) == [tabs[1]]
    assert [file.name for file in uploads.get_files(tabs[1], ["one"])] == ["net.pt"]
    print("gone")
    runtime.stop()
    await runtime.stopped

asyncio.run(go())
"""


def test_a_closed_tabs_uploads_go_without_another_visitor(tmp_path: Any) -> None:
    script = tmp_path / "page.py"
    script.write_text("")
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_TAB, str(script)], capture_output=True, text=True, timeout=120
    )
    assert "gone" in done.stdout, done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_goes_back_to_the_system() -> None:
    pieces = [bytearray(60_000) for _ in range(4000)]
    kept = pieces[::50]  # between them all the rest is freed, and stays with the process
    del pieces
    before = resident()
    give_back()
    after = resident()
    assert before is not None
    assert after is not None
    assert before - after > 150 << 20
    assert len(kept) == 80


class Quiet:
    """A channel on which nothing comes."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def receive(self, timeout: float | None = 0.0) -> None:
        if timeout is None:
            raise EOFError
        if timeout > 0:
            self.waits.append(timeout)


class Shelf:
    def __init__(self) -> None:
        self.cleared = 0

    def clear(self) -> None:
        self.cleared += 1


def rested(monkeypatch: pytest.MonkeyPatch, *, worked: bool, holds: int) -> tuple[int, list[int]]:
    """How often the shelf was cleared, and the codes with which the process ended."""
    ended: list[int] = []
    monkeypatch.setattr(main, "resident", lambda: holds)
    monkeypatch.setattr(main.os, "_exit", ended.append)
    shelf = Shelf()
    one = Worker(Quiet(), shelf, replaced=True)  # type: ignore[arg-type]
    one._worked = worked
    with pytest.raises(EOFError):
        one.serve()
    return shelf.cleared, ended


def test_a_worker_at_rest_gives_back_and_ends_where_that_is_not_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rested(monkeypatch, worked=False, holds=9 << 30) == (0, [])
    assert rested(monkeypatch, worked=True, holds=700 << 20) == (1, [])
    assert rested(monkeypatch, worked=True, holds=2 << 30) == (1, [0])


def test_a_trainer_at_rest_never_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "resident", lambda: 9 << 30)
    monkeypatch.setattr(main.os, "_exit", lambda code: pytest.fail("it ended"))
    one = Worker(Quiet(), Shelf())  # type: ignore[arg-type]
    one._worked = True
    with pytest.raises(EOFError):
        one.serve()


def test_memory_that_runs_out_has_its_sentence_on_a_cpu() -> None:
    for ask in (lambda: torch.empty(10**14), lambda: np.ones(10**14)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            ask()
        told = describe(caught.value)["sentence"]
        assert told.startswith("The device ran out of memory (")
        assert told.endswith("take fewer lanes, a smaller batch, or smaller nets.")
        assert in_a_sentence(caught.value, "nowhere") == (told, False)
