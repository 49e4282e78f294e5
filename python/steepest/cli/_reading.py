"""The options of commands that read a table, once for all of them."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..files import MISSING
from ..tables import DataWarning, read, read_batches
from ..tables._inference import Kind
from .console import hint

# What stands for a missing target; "none" may well be a label.
_GAPS = tuple(mark for mark in MISSING if mark.lower() != "none")


@dataclass(frozen=True)
class Reading:
    """How tables are read, as the command line says it; each attribute is an option of that name."""

    sep: Annotated[
        str | None,
        typer.Option("--sep", "--delimiter", help=r"Character between fields of CSV; \t for a tab. By default found."),
    ] = None
    decimal: Annotated[str | None, typer.Option(help="Decimal mark of numbers, . or , and by default found.")] = None
    thousands: Annotated[str | None, typer.Option(help="Mark between groups of three digits.")] = None
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether CSV begins with names. By default found.")
    ] = None
    encoding: Annotated[str | None, typer.Option(help="Encoding of CSV, such as latin-1; by default UTF-8.")] = None
    missing: Annotated[
        list[str] | None, typer.Option(help="A cell that is missing, in any column; may be given several times.")
    ] = None
    text: Annotated[
        list[str] | None,
        typer.Option(help="A column that is text, whatever it looks like; repeatable."),
    ] = None
    dates: Annotated[list[str] | None, typer.Option(help="How dates are written, as %d.%m.%Y or COLUMN=%d.%m.%Y.")] = (
        None
    )
    drop_missing_target: Annotated[
        bool, typer.Option("--drop-missing-target", help="Leave out rows whose target is missing; else an error.")
    ] = False

    def table(
        self,
        path: Path,
        *,
        names: Collection[str] = (),
        text: Collection[str] = (),
        kinds: Mapping[str, Kind] | None = None,
        forms: Mapping[str, str] | None = None,
    ) -> Any:
        """Read a table, and print what is odd in it.

        Parameters
        ----------
        path : Path
            Where it lies.
        names, text, kinds : optional
            What is known of its columns, as `steepest.tables.read` takes it.
        forms : mapping of str to str, optional
            How dates were written in training, by column: this counts unless the command line says it.
        """
        with telling(path):
            found = read(path, names=names, text={*text, *(self.text or ())}, kinds=kinds, **self._options(forms))
        dated = [each.partition("=")[0] for each in self.dates or () if "=" in each]
        for option, columns in (("--text", self.text or ()), ("--dates", dated)):
            if missing := [name for name in columns if name not in found.column_names]:
                listed = ", ".join(found.column_names)
                raise ValueError(f"{path}: no column {missing[0]!r}, which {option} names: found {listed}")
        return found

    def batches(
        self, path: Path, *, text: Collection[str] = (), forms: Mapping[str, str] | None = None, **known: Any
    ) -> Iterator[Any]:
        """Go through a table in batches; `known` is for `steepest.tables.read_batches`."""
        return read_batches(path, text={*text, *(self.text or ())}, **known, **self._options(forms))

    @property
    def gaps(self) -> tuple[str, ...]:
        """The cells of a target of text that are missing values."""
        return ("",) if self.missing else _GAPS

    def _options(self, forms: Mapping[str, str] | None) -> dict[str, Any]:
        """Return the options as `steepest.tables.read` takes them; `forms` as of `table`."""
        return {
            "sep": "\t" if self.sep == r"\t" else self.sep, "decimal": self.decimal, "thousands": self.thousands,
            "header": "auto" if self.header is None else self.header, "encoding": self.encoding,
            "missing": self.missing or None, "dates": self._forms() or forms or None,
        }  # fmt: skip

    def _forms(self) -> str | dict[str, str] | None:
        """Return how dates are written, of all columns or by column."""
        if not self.dates:
            return None
        by_column = dict(each.split("=", 1) for each in self.dates if "=" in each)
        if not by_column and len(self.dates) == 1:
            return self.dates[0]
        if len(by_column) < len(self.dates):
            raise ValueError(f"--dates is {', '.join(self.dates)}: expected one form, or COLUMN=FORM for each column")
        return by_column


@contextmanager
def telling(path: Path | None) -> Iterator[None]:
    """Print what readers and encoders warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.filterwarnings("ignore", "X does not have valid feature names")  # columns are taken by name
        warnings.showwarning = lambda message, *_, **__: hint(f"{path}: {message}" if path else str(message))
        yield


Command = Callable[..., None]


def reads_tables(without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options of `Reading`, in place of its parameter `reading`.

    Parameters
    ----------
    without : collection of str, default=()
        Options that say nothing to this command.
    """
    return functools.partial(_with_options, without=without)


def _with_options(command: Command, without: Collection[str]) -> Command:
    options = get_type_hints(Reading, include_extras=True)
    defaults = {each.name: each.default for each in fields(Reading) if each.name not in without}
    own = get_type_hints(command, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        parameter.replace(kind=keyword, annotation=own[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "reading"
    ]
    parameters += [
        inspect.Parameter(name, keyword, default=default, annotation=options[name])
        for name, default in defaults.items()
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        reading = Reading(**{name: given.pop(name) for name in defaults})
        with telling(given["table"]):
            command(**given, reading=reading)

    del with_options.__wrapped__
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
