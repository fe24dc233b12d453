"""How far a process that computes stands back for those that answer people."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


def stand_back(nice: int) -> None:
    """Lets all else on this machine go first, where its system knows of that (Unix).

    Linux may share the processor out among sessions first (its autogroups), and a niceness then
    counts only within one: a process that leads a session of its own, as ours do so that Ctrl-C is
    not theirs, would have as much as its server with all its answers. So that session stands back,
    too; one that is others' as well is left as it is.
    """
    if not hasattr(os, "nice"):
        return
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system, or one without such groups
            switch = os.open(_AUTOGROUP, os.O_WRONLY)  # the kernel's, no file of anybody's
            try:
                os.write(switch, str(os.nice(0)).encode())
            finally:
                os.close(switch)
