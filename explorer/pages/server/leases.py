"""Jobs end soon when whoever asked for them is gone: a closed tab leaves nothing behind.

A job is held for a viewer. Whoever asks again renews the hold; a viewer whose page is open holds on
for longer, as the timers of a hidden tab sleep.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.runs.serve.job_queue import JobHandle

HIDDEN_SECONDS = 90.0  # a hidden tab may look only once a minute
GONE_SECONDS = 8.0  # without a look, by a viewer whose page is not open
_TURN = 1.0  # seconds between two looks at what is held


def this_viewer() -> str:
    """The session of the script that runs, by which its page's live parts are known as its own."""
    context = get_script_run_ctx(suppress_warning=True)
    return "" if context is None else context.session_id


def is_here(viewer: str) -> bool:
    """Whether the viewer's page is open, as far as is known: its socket is."""
    if not viewer:
        return False
    if not runtime.exists():  # no server whose socket could be closed
        return True
    return runtime.get_instance().is_active_session(viewer) is not False


def seconds_for(viewer: str) -> float:
    """For how long a look holds what was looked at."""
    return HIDDEN_SECONDS if is_here(viewer) else GONE_SECONDS


@dataclass
class _Hold:
    job: JobHandle
    viewers: dict[str, float]  # by viewer, when they looked last


class Leases:
    """All jobs that are held for somebody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holds: dict[object, _Hold] = {}
        self._reaper: threading.Thread | None = None

    def hold(self, job: JobHandle, viewer: str = "") -> JobHandle:
        """Holds a job, or holds it again; another handle of a job that is held is given back."""
        with self._lock:
            held = self._holds.get(job.shared)
            if held is None:
                held = self._holds[job.shared] = _Hold(job, {})
            elif held.job is not job:
                job.cancel()
            held.viewers[viewer] = time.monotonic()
            if self._reaper is None or not self._reaper.is_alive():
                self._reaper = threading.Thread(target=self._reap, name="leases", daemon=True)
                self._reaper.start()
            return held.job

    def __len__(self) -> int:
        with self._lock:
            return len(self._holds)

    def _reap(self) -> None:
        """Gives up what nobody looks at, once a second, until nothing is held."""
        while True:
            time.sleep(_TURN)
            with self._lock:
                now = time.monotonic()
                for name, hold in list(self._holds.items()):
                    over = hold.job.state not in ("waiting", "running")
                    looked = any(now - at < seconds_for(v) for v, at in hold.viewers.items())
                    if over or not looked:
                        del self._holds[name]
                        hold.job.cancel()
                if not self._holds:
                    self._reaper = None
                    return


leases = Leases()
