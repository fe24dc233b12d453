"""What machine this is."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """The machine's processor, as it names itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores of the machine; 1 where it does not tell."""
    return os.cpu_count() or 1
