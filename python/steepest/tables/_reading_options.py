"""The options of a table's reader, checked."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ._csv import Header
from ._inference import Kind

_KINDS = ("number", "text", "boolean", "date", "clock")


@dataclass(frozen=True)
class Options:
    """The options of `read`, see there."""

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: Header = "auto"
    encoding: str | None = None
    missing: tuple[str, ...] | None = None
    text: Collection[str] = ()
    dates: str | Mapping[str, str] | None = None
    names: Collection[str] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.header not in (True, False, "auto"):
            raise ValueError(f"header is {self.header!r}: expected True, False or 'auto'")
        for name, value in (("sep", self.sep), ("decimal", self.decimal), ("thousands", self.thousands)):
            if value is not None and (not isinstance(value, str) or len(value) != 1):
                raise ValueError(f"{name} is {value!r}: expected one character")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {self.decimal!r}: expected '.' or ','")
        if self.decimal is not None and self.decimal in (self.thousands, self.sep):
            other = "thousands" if self.decimal == self.thousands else "sep"
            raise ValueError(f"decimal and {other} are both {self.decimal!r}: expected different characters")
        if isinstance(self.text, str) or isinstance(self.missing, str):
            raise TypeError("text or missing is a single text: expected a list")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise ValueError(f"encoding is {self.encoding!r}: expected one that Python knows") from error
        if unknown := [kind for kind in self.kinds.values() if kind not in _KINDS]:
            raise ValueError(f"kinds has {unknown[0]!r}: expected one of {', '.join(_KINDS)}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Return options that are given by name; TypeError for one that `read` has not."""
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise TypeError(f"unknown option {unknown[0]!r}: expected one of {', '.join(sorted(known))}")
        missing = given.get("missing")
        if missing is not None and not isinstance(missing, str):
            given = {**given, "missing": tuple(missing)}
        return cls(**{name: value for name, value in given.items() if name != "kinds" or value is not None})

    def kind_of(self, name: str) -> Kind | None:
        """Return the kind of a column that is declared to have one."""
        if name in self.text:
            return "text"
        if isinstance(self.dates, Mapping) and name in self.dates:
            return "date"
        return self.kinds.get(name)

    def form_of(self, name: str) -> str | None:
        """Return how a column's dates are written, if that is declared."""
        return self.dates.get(name) if isinstance(self.dates, Mapping) else self.dates
