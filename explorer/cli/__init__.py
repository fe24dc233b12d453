"""The command line: ``skipscope COMMAND``. Torch is imported by the commands that need it."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence

from explorer.cli.parser import parse
from explorer.cli.text import note
from explorer.errors import SkipscopeError

INTERRUPTED = 130
WRONG_INPUT = 2
UNFORESEEN = 1
LOG = "command.log"  # in Skipscope's folder
LOG_CHARACTERS = 200_000  # kept of earlier stacks


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code.

    2 with one sentence on stderr where the input is wrong, 1 with one where something happened
    that nobody foresaw, 130 after Ctrl-C.
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
    except Exception as error:
        note(_told(error))
        return UNFORESEEN
    return 0


def _told(error: Exception) -> str:
    """What nobody foresaw, in one sentence; its stack goes to a file that the sentence names."""
    from explorer.system.files import write_text
    from explorer.system.home import default_home
    from explorer.system.trouble import in_a_sentence

    log = default_home() / LOG
    sentence, fault = in_a_sentence(error, str(log))
    if fault:
        stack = "".join(traceback.format_exception(error))
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            kept = log.read_text("utf-8")[-LOG_CHARACTERS:] if log.is_file() else ""
            write_text(log, f"{kept}{time.strftime('%Y-%m-%d %H:%M:%S')}\n{stack}\n")
        except (OSError, ValueError):  # then at least the terminal has it
            return f"{stack}{sentence}"
    return sentence
