"""Ctrl-C where the process is the `steepest` command itself: it ends there and then, from the first import on.

An exception would not do: it shows a traceback where it comes before `main` can catch it, and is lost where it comes
within a destructor or another package's import. In all other programs Ctrl-C stays what the program makes of it.
"""

import _signal as signal  # type: ignore[import-not-found]  # that of the library loads for milliseconds
import os
import sys

INTERRUPTED = 130  # the exit code; what shells say after Ctrl-C

unfinished: set[str] = set()  # files that are being written, to be taken along

_STUB = b"from steepest.cli import main"  # in the script that an installer writes
_SHOW_CURSOR = "\x1b[?25h"  # which progress bars hide


def end_command_at_once() -> None:
    """Let Ctrl-C end the process with one line and `INTERRUPTED`, if it is the command and nobody has decided yet."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_now)


def _is_command() -> bool:
    """Whether Python was started as `steepest`, or as `python -m steepest`."""
    name = next(iter(getattr(sys, "argv", ())), "")
    if name == "-m":  # while runpy imports the package
        options = iter(sys.orig_argv[1:])
        found = any(option.startswith("-") and option.endswith("m") for option in options)
        return found and next(options, "") == "steepest"
    if os.path.basename(name).partition(".")[0] != "steepest":
        return False
    try:
        main = sys.modules["__main__"]
        # Its bytes: to decode them, Python would import modules for milliseconds.
        return _STUB in main.__loader__.get_data(main.__file__)  # type: ignore[union-attr]
    except Exception:  # a program of that name which has no source
        return False


def end_now(number: int, frame: object) -> None:
    for path in unfinished.copy():
        try:
            os.unlink(path)
        except OSError:  # not there yet, or no more
            continue
    try:
        os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}steepest: interrupted\n".encode())
    finally:
        os._exit(INTERRUPTED)
