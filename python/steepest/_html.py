"""HTML from small calls: text is escaped, so that no name in a table can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias

_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF), " ")
_VOID = frozenset(("br", "hr", "meta"))


class Markup(str):
    """Text that is HTML already."""


Child: TypeAlias = "str | Iterable[Child] | None"
Attribute: TypeAlias = str | float | bool | None


def clean(text: str) -> str:
    """Return text without the characters that neither HTML nor XML may hold."""
    return text.translate(_CONTROLS)


def join(children: Child) -> Markup:
    """Return children one after the other: strings escaped, `Markup` as it is, None left out."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return Markup(escape(clean(children), quote=False))
    return Markup("".join(join(child) for child in children))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
        Its name.
    *children : str, Markup, or nested lists of both
        Its content.
    **attributes : str, number, bool or None
        ``class_`` is written class, ``aria_label`` aria-label; True is an attribute without a value, None and False
        are none.
    """
    parts = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(key)
        elif value is not None and value is not False:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            parts.append(f'{key}="{escape(clean(text))}"')
    opened = f"<{' '.join(parts)}>"
    return Markup(opened if name in _VOID else f"{opened}{join(children)}</{name}>")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, named_rows: bool = True) -> Markup:
    """Return a table whose first column, by default, names the rows."""
    body = []
    for row in rows:
        first = tag("th", row[0], scope="row") if named_rows else tag("td", row[0])
        body.append(tag("tr", first, [tag("td", cell) for cell in row[1:]]))
    head = tag("tr", [tag("th", cell, scope="col") for cell in header])
    return tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
