"""Checked value objects: checks of arguments, short reprs, and the way to plain JSON and back."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, TypeVar

import numpy as np

from ._arrays import reason_of, shown

T = TypeVar("T")

_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def number(name: str, value: object, **bounds: float) -> float:
    """Return a finite number as a float.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : object
        The argument, as given.
    **bounds : float
        Its limits, such as ``ge=0, lt=1``; the names are those of the module `operator`.

    Raises
    ------
    TypeError
        If `value` is not a real number, or is a bool.
    ValueError
        If `value` is not finite, or not within `bounds`.
    """
    wanted = "a finite number" + " and".join(f" {_SIGNS[key]} {bound:g}" for key, bound in bounds.items())
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {shown(value)}: expected {wanted}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result) or not all(getattr(operator, key)(result, bound) for key, bound in bounds.items()):
        raise ValueError(f"{name} is {shown(value)}: expected {wanted}")
    return result


def integer(name: str, value: object, *, ge: int) -> int:
    """Return a whole number as an int.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : object
        The argument, as given.
    ge : int
        The least that it may be.

    Raises
    ------
    TypeError
        If `value` is not a whole number, or is a bool.
    ValueError
        If `value` is below `ge`, or 2**63 or more.
    """
    wanted = f"a whole number >= {ge}"
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {shown(value)}: expected {wanted}")
    result = operator.index(value)
    if not ge <= result < 2**63:
        raise ValueError(f"{name} is {shown(value)}: expected {wanted}" + (" and < 2**63" if result > ge else ""))
    return result


def flag(name: str, value: object) -> bool:
    """Return `value` as a bool; TypeError, which names `name`, where it is neither true nor false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {shown(value)}: expected True or False")
    return bool(value)


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """Return `value`; ValueError, which names `name`, where it is not one of `options`."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} is {shown(value)}: expected one of {', '.join(options)}")
    return value


def text(name: str, value: object) -> str:
    """Return `value`; TypeError, which names `name`, where it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: expected text")
    return value


class Spec:
    """Base of the dataclasses that describe layers, optimizers and schedules."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def _set(self, **values: object) -> None:
        """Put checked values into a frozen object; for ``__post_init__`` alone."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the call that makes this object, defaults left out."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                parts.append(f"{field.name}=<array {value.shape}>")
            elif field.default is MISSING and not field.kw_only:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """Return this object as plain JSON values: its type's name and its fields."""
        return {"type": type(self).__name__} | {field.name: getattr(self, field.name) for field in fields(self)}


def from_dict(data: object, kinds: Mapping[str, type[T]], what: str, renamed: Mapping[str, str] | None = None) -> T:
    """Make the object that `to_dict` described.

    Parameters
    ----------
    data : dict
        Plain JSON values, perhaps from a stranger's file.
    kinds : mapping of str to type
        The classes that `data` may describe, by the name under "type".
    what : str
        The thing described, for messages.
    renamed : mapping of str to str, optional
        Names that files of older versions have for some classes, each with the name in `kinds`.

    Raises
    ------
    ValueError
        If `data` is no dict with one of these names, or if a field is missing, unknown or has a wrong value.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{what} is {data!r}: expected an object with a type")
    values = dict(data)
    kind = values.pop("type", None)
    if renamed and isinstance(kind, str):
        kind = renamed.get(kind, kind)
    kind = choice(f"{what} type", kind, tuple(kinds))
    try:
        return kinds[kind](**values)
    except TypeError as error:  # a field missing, unknown or of the wrong type
        raise ValueError(f"{what} {kind}: {reason_of(error)}") from error
