"""What keeps a server from starting is one sentence, before it starts."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.cli import main
from explorer.runs.store import SCHEMA_VERSION, STORE, Store, check_usable

ROOT = Path(__file__).parent.parent
UNIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def newer(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / STORE) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()


def folder_in_its_place(home: Path) -> None:
    (home / STORE).mkdir(parents=True)


def file_in_its_place(home: Path) -> None:
    home.touch()


def pipe_in_its_place(home: Path) -> None:
    home.mkdir()
    os.mkfifo(home / STORE)  # whose opening waits for somebody at its other end


def pipe_for_the_claim(home: Path) -> None:
    home.mkdir()
    os.mkfifo(home / "in-use")


def app(home: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """``skipscope app``; what it becomes is not begun."""

    def begin(*_: object) -> None:
        raise AssertionError("the server was started")

    monkeypatch.setenv("SKIPSCOPE_HOME", str(home))
    monkeypatch.setattr(os, "execv", begin)
    monkeypatch.setattr(os, "chdir", lambda _: None)
    return main(["app", "--port", "8597", *options])


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (newer, "was written by a newer Skipscope"),
        (folder_in_its_place, "is a folder"),
        (file_in_its_place, "not a directory"),
        pytest.param(pipe_in_its_place, "is no file", marks=UNIX),
        pytest.param(pipe_for_the_claim, "is no file", marks=UNIX),
    ],
)
def test_a_home_that_cannot_be_used_is_one_sentence(
    prepare: Callable[[Path], None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    prepare(home)
    assert app(home, monkeypatch) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("refuse", "said"), [(no_space, "no space left"), (read_only, "read-only file system")]
)
def test_a_disk_that_refuses_is_one_sentence(
    refuse: Callable[..., None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert app(tmp_path / "home", monkeypatch) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_second_server_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    assert app(tmp_path, monkeypatch) == 2
    store.close()
    told = capsys.readouterr().err
    assert "Another Skipscope is using" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("address", ["", "8.8.8.8", "300.1.1.1", "a b", "a..b", "a" * 64])
def test_an_address_elsewhere_is_one_sentence(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app(tmp_path, monkeypatch, "--address", address) == 2
    told = capsys.readouterr().err
    assert "no address of this machine" in told
    assert "--port" not in told  # another port would not help
    assert told.count("\n") == 1


def test_a_port_that_is_taken_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert app(tmp_path, monkeypatch, "--port", str(port)) == 2
    told = capsys.readouterr().err
    assert f"Port {port} at 127.0.0.1 cannot be used" in told
    assert told.count("\n") == 1


def test_a_sound_home_is_left_as_it_is(tmp_path: Path) -> None:
    check_usable(tmp_path)
    store = Store(tmp_path)
    run = store.create("one", "{}", 2)
    store.close()
    check_usable(tmp_path)
    again = Store(tmp_path)
    assert again.experiment(run) is not None
    again.close()


def test_streamlit_itself_is_stopped_with_the_same_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    done = subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port=8596"],
        cwd=ROOT,
        env={**os.environ, "SKIPSCOPE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Skipscope cannot keep its runs in")
    assert done.stderr.strip().count("\n") == 0


def test_minimum_versions_are_safe_and_work_together() -> None:
    """Lower ones have known holes in what is used here, or cannot be imported side by side."""
    wanted = {"pillow": (10, 3), "pyarrow": (16,), "starlette": (0, 49, 1), "torch": (2, 6)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = {
        name: tuple(map(int, version.split(".")))
        for name, _, version in (line.partition(">=") for line in project["dependencies"])
    }
    for name, version in wanted.items():
        assert least[name] >= version, name
