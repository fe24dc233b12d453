"""How every figure behaves in a browser; ``skipscope.js`` and its sisters say the same."""

from __future__ import annotations

from typing import Any

PLOT_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,  # else its tool bar offers to upload the figure to another company
}
