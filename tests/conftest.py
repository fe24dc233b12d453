"""Fixtures shared by all tests; nothing here touches the network or a person's own runs."""

from __future__ import annotations

import os

# Before torch is imported: two threads a process on a busy two-core machine are many times slower
# than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs, downloads and caches of a file's tests go to a folder of their own."""
    home = tmp_path_factory.mktemp("skipscope-home")
    before = os.environ.get("SKIPSCOPE_HOME")
    os.environ["SKIPSCOPE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["SKIPSCOPE_HOME"]
    else:
        os.environ["SKIPSCOPE_HOME"] = before


# By file, in their order here: these mostly wait for processes, so that a core is free for others.
_FIRST = ("test_runs_service.py", "test_browser.py", "test_browser_instruments.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes begin first: at the end all cores are busy, not one."""
    items.sort(key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else 9)
