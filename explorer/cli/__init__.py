"""The command line: ``skipscope COMMAND``. Torch is imported by the commands that need it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from explorer.cli.parser import parse
from explorer.cli.text import note
from explorer.errors import SkipscopeError

INTERRUPTED = 130
WRONG_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code.

    2 with one sentence on stderr where the input is wrong, 130 after Ctrl-C.
    """
    try:
        args = parse(list(sys.argv[1:] if argv is None else argv))
        module, _, function = args.run.partition(":")
        getattr(importlib.import_module(module), function)(args)
        sys.stdout.flush()
    except SkipscopeError as error:
        note(str(error))
        return WRONG_INPUT
    except KeyboardInterrupt:
        note("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough (`skipscope list | head`); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
