"""The `steepest` command: its entry, and what becomes of errors."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence

from .._ctrl_c import INTERRUPTED

MISTAKE = 2
FAILURE = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `steepest` command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those that the process was given.

    Returns
    -------
    int
        Exit code: 0; 2 for a mistake of the user's, or a model too large for this machine, with one line on standard
        error that says which; 1 if training diverged; 130 after Ctrl-C.
    """
    try:
        import typer

        from .commands import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("rich", "typer"):
            raise
        return _say(f"the command line needs {missing}: pip install 'steepest[cli]'", MISTAKE)

    from .._core import DivergedError

    for stream in (sys.stdout, sys.stderr):  # a console may not know every letter of a name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(given, prog_name="steepest", standalone_mode=False)
        if code == INTERRUPTED:  # typer's own answer to Ctrl-C, in some versions
            raise KeyboardInterrupt
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except DivergedError as error:
        return _say(str(error), FAILURE)
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}" if error.filename else str(error), MISTAKE)
    except MemoryError as error:
        return _say(str(error) or "there is not enough memory", MISTAKE)
    except (ModuleNotFoundError, ValueError) as error:
        return _say(str(error), MISTAKE)
    except Exception as error:
        # Those of the command line's own parser, whose class depends on typer's version.
        if not hasattr(error, "format_message"):
            raise
        return _say(error.format_message(), MISTAKE)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):  # nobody may listen any more
        print("steepest:", " ".join(message.split()), file=sys.stderr, flush=True)
    return code
