"""``skipscope app``: the same as ``streamlit run app.py``, from anywhere."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from explorer.errors import RunError
from explorer.home import default_home
from explorer.runs.store import check_usable
from explorer.ui.rights import ALLOW

ROOT = Path(__file__).resolve().parents[2]


def run_app(args: argparse.Namespace) -> None:
    """Become the Streamlit server, so that stopping this command stops it."""
    if not (ROOT / "app.py").is_file():
        raise RunError(
            f"There is no app.py in {ROOT}: install from a clone with `pip install -e .` and "
            "start it there."
        )
    check_usable(default_home().resolve())
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((args.address, args.port))
        except OSError as error:
            raise RunError(
                f"Port {args.port} at {args.address} cannot be used ({error.strerror}): choose "
                f"another one, such as `skipscope app --port {args.port + 1}`."
            ) from None
    command = server_command(args.address, args.port, headless=args.no_browser, hosts=args.host)
    if args.allow:
        os.environ[ALLOW] = ",".join(args.allow)
    os.chdir(ROOT)  # where .streamlit/config.toml lies
    if os.name == "nt":  # there exec would return to the prompt at once
        raise SystemExit(subprocess.call(command))
    os.execv(command[0], command)


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
