"""The one exception that people see: its text is a whole sentence with a way on."""

from __future__ import annotations


class SkipscopeError(Exception):
    """Something a person can put right; ``str(error)`` says what is wrong and what to do.

    The command line prints the sentence and exits with 2; the page shows it in place.
    """


class SpecError(SkipscopeError):
    """A choice (net, data, training, link) that is not possible."""


class DataError(SkipscopeError):
    """A data set, folder or image that cannot be used."""


class MissingError(DataError):
    """Images or weights that are not on this machine, and that nobody asked to download."""


class WeightsError(SkipscopeError):
    """Weights that are missing, damaged, or not this net's."""


class NotApplicableError(SkipscopeError):
    """An instrument that means nothing for this net."""


class RunError(SkipscopeError):
    """A run or job that is unknown, over, or was cut short."""


class NotAllowedError(RunError):
    """Something that the network may not do at this server."""


class DamagedError(RunError):
    """A checkpoint that holds something else than was written."""


class Cancelled(RunError):
    """A measurement that was asked to stop before its end; not a failure."""
