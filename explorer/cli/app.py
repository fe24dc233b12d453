"""``skipscope app``: the same as ``streamlit run app.py``, from anywhere."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from explorer.errors import RunError
from explorer.pages.server.rights import ALLOW
from explorer.runs.store import check_usable
from explorer.system.home import default_home

_ELSEWHERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
ROOT = Path(__file__).resolve().parents[2]


def run_app(args: argparse.Namespace) -> None:
    """Become the Streamlit server, so that stopping this command stops it."""
    if not (ROOT / "app.py").is_file():
        raise RunError(
            f"There is no app.py in {ROOT}: install from a clone with `pip install -e .` and "
            "start it there."
        )
    check_usable(default_home().resolve())
    _try_to_listen(args.address, args.port)
    command = server_command(args.address, args.port, headless=args.no_browser, hosts=args.host)
    if args.allow:
        os.environ[ALLOW] = ",".join(args.allow)
    os.chdir(ROOT)  # where .streamlit/config.toml lies
    if os.name == "nt":  # there exec would return to the prompt at once
        raise SystemExit(subprocess.call(command))
    os.execv(command[0], command)


def _try_to_listen(address: str, port: int) -> None:
    """Notices what would keep the server from listening.

    Raises:
        RunError: The port is taken, or the address is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM) if address else []
        if not found:  # to a socket it would mean all addresses, to a person hardly
            raise _no_address(address, "it is empty")
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except UnicodeError:  # labels that are empty, or too long for a name
        raise _no_address(address, "no name is written so") from None
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno in _ELSEWHERE:
            raise _no_address(address, (error.strerror or "unknown").lower()) from None
        raise RunError(
            f"Port {port} at {address} cannot be used ({error.strerror}): choose another one, "
            f"such as `skipscope app --port {port + 1 if port < 65535 else 8501}`."
        ) from None


def _no_address(address: str, why: str) -> RunError:
    return RunError(
        f"{address[:60]!r} is no address of this machine ({why}): leave --address out, to be "
        "reached from this machine alone, or give 0.0.0.0 for all of its addresses."
    )


def server_command(
    address: str, port: int, *, headless: bool, hosts: Sequence[str] = ()
) -> list[str]:
    """The command line of the server.

    Args:
        hosts: Names beyond this machine's own by which it is opened.
    """
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    command += [f"--server.address={address}", f"--server.port={port}"]
    command += [f"--server.allowedHosts={host}" for host in hosts]
    if address in ("0.0.0.0", "::"):  # else Streamlit asks another site how it is seen from there
        command += ["--browser.serverAddress=localhost"]
    return [*command, "--server.headless=true"] if headless else command
