"""Options of a command from a file of TOML, and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from .._extras import require

_ASIDE = ("config", "dump", "context")


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Let a file give the options that the command line does not, as a callback of the option that names it.

    Keys are the names of options and arguments, with - or _; a table of a command's name holds what is for that command
    alone.

    Parameters
    ----------
    context : typer.Context
        Of the command.
    path : Path, optional
        The file; None for none.

    Raises
    ------
    ValueError
        If the file is no TOML, or a key is no option of the command.
    """
    if path is None:
        return None
    toml = require("tomllib" if sys.version_info >= (3, 11) else "tomli", "tomli", "--config")
    try:
        found = toml.loads(path.read_text("utf-8"))
    except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path}: not a file of TOML: {error}") from error
    name = str(context.info_name)
    own = found.pop(name, {})
    if not isinstance(own, dict):
        raise ValueError(f"--config {path}: {name} is {own!r}: expected a table [{name}]")
    # Tables of other commands are theirs.
    given = {key: value for key, value in found.items() if not isinstance(value, dict)} | own
    options = {key.replace("-", "_"): value for key, value in given.items()}
    known = [str(parameter.name) for parameter in context.command.params if parameter.name not in _ASIDE]
    if strange := [key for key in options if key not in known]:
        listed = ", ".join(key.replace("_", "-") for key in sorted(known))
        raise ValueError(f"--config {path}: {strange[0]!r} is no option of {name}: expected some of {listed}")
    context.default_map = options
    return path


def dump_config(context: typer.Context) -> str:
    """Return all options of a command as they are now, as a file of TOML; those that are open are comments."""
    lines = [f"# steepest {context.info_name}"]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in _ASIDE:
            key, value = name.replace("_", "-"), context.params[name]
            lines.append(f"# {key} =" if value in (None, [], ()) else f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    # A string of JSON is one of TOML, a number and true and false too.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
