"""The real server and a real Chromium, for the benchmark of the app and for its browser tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import SkipscopeError

APP = Path(__file__).resolve().parent.parent.parent / "app.py"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True)
class Server:
    """A running app: its address, process id, and the seconds until it answered."""

    url: str
    pid: int
    seconds_to_answer: float
    started: float


def find_chromium() -> str:
    """Path of a Chromium on this machine.

    Raises:
        SkipscopeError: There is none.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise SkipscopeError(
        "No Chromium was found: install one (Debian: apt-get install chromium) and try again."
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve(
    home: Path,
    *,
    log: Path | None = None,
    patience: float = 60.0,
    base: str = "",
    hosts: Sequence[str] = (),
) -> Iterator[Server]:
    """The app on a free local port with its own home; ended with all its workers afterwards.

    Args:
        base: The path under which everything lies, as ``"lab/skip"``.
        hosts: Names of a proxy's that stand in browsers' addresses.
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(port), "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.baseUrlPath", base]
    command += [f"--server.allowedHosts={host}" for host in hosts]
    environment = {**os.environ, "SKIPSCOPE_HOME": str(home)}
    started = time.monotonic()
    with log.open("wb") if log else contextlib.nullcontext(subprocess.DEVNULL) as out:
        process = subprocess.Popen(
            command, cwd=APP.parent, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}/{base}".rstrip("/")
            while not _answers(url):
                if process.poll() is not None:
                    raise SkipscopeError(
                        f"The server ended with exit code {process.returncode} before it answered."
                    )
                if time.monotonic() - started > patience:
                    raise SkipscopeError(f"The server did not answer within {patience:g} s.")
                time.sleep(0.02)
            yield Server(url, process.pid, time.monotonic() - started, started)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium (a Playwright ``Browser``)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SkipscopeError(
            "Playwright is not installed: pip install 'skipscope[test]' and try again."
        ) from None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
