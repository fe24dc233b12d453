"""Fixtures shared by all tests; nothing here touches the network or a person's own runs."""

from __future__ import annotations

import os

# Before torch is imported: two threads a process on a busy two-core machine are many times slower
# than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs, downloads and caches of the tests go to a folder of their own."""
    home = tmp_path_factory.mktemp("skipscope-home")
    before = os.environ.get("SKIPSCOPE_HOME")
    os.environ["SKIPSCOPE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["SKIPSCOPE_HOME"]
    else:
        os.environ["SKIPSCOPE_HOME"] = before
