"""Processes that compute stand back for those that answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
SAYS = """
import json, os
from pathlib import Path
from explorer.system.priority import stand_back

def now():
    group = Path("/proc/self/autogroup")
    return os.nice(0), group.read_text().split()[-1:] if group.exists() else []

before = now()
stand_back(7)
print(json.dumps([before, now()]))
"""


@pytest.mark.skipif(not hasattr(os, "nice"), reason="there is no niceness")
@pytest.mark.parametrize("own_session", [True, False])
def test_a_session_of_its_own_stands_back_and_nobody_elses(own_session: bool) -> None:
    ours = AUTOGROUP.read_text() if AUTOGROUP.exists() else ""
    done = subprocess.run(
        [sys.executable, "-c", SAYS],
        start_new_session=own_session,
        capture_output=True,
        text=True,
        check=True,
    )
    (nice, group), after = json.loads(done.stdout)  # no group: a system without, or its first one
    expected = min(nice + 7, 19)
    assert after == [expected, [str(expected)] if own_session and group else group]
    assert (AUTOGROUP.read_text() if AUTOGROUP.exists() else "") == ours
