"""How many paths there are, and how long. Cost: none, they are counted from the structure."""

from __future__ import annotations

from explorer.errors import NotApplicableError
from explorer.instruments.contract import Job
from explorer.instruments.counted_paths import multiplicity, path_lengths
from explorer.instruments.path_counts.ask import Ask
from explorer.instruments.path_counts.result import PathCounts
from explorer.nets import Net


def measure(net: Net, ask: Ask, job: Job) -> PathCounts:
    """The net's path lengths, and the number of paths of deeper and of wider nets of its kind."""
    plan = net.blueprint
    try:
        others = multiplicity(plan.spec)
    except NotApplicableError:  # another library's net
        others = None
    return PathCounts(**vars(path_lengths(plan, job.name)), multiplicity=others)
