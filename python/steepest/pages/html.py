"""HTML, and numbers in it as people read them."""

from __future__ import annotations

import math

from .._html import Attribute, Child, Markup, clean, join, table, tag

__all__ = [
    "MINUS", "TIMES", "Attribute", "Child", "Markup", "clean", "join", "table", "tag", "to_percent", "to_text"
]  # fmt: skip

MINUS, TIMES = "\u2212", "\u00d7"


def to_text(value: float, digits: int = 3) -> str:
    """Write a number for people: 3 significant digits, a true minus sign, an exponent only for very large or small."""
    value = float(value)
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 10 ** (digits - 1) and size < 1e9 else f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = (
            f"{value:.{digits + 3}f}".rstrip("0")
            if 1e-4 <= size < 1
            else f"{mantissa} {TIMES} 10{_superscript(int(exponent))}"
        )
    return text.replace("-", MINUS)


def to_percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f}%" if 0 < share < 0.995 and share < 0.1 else f"{100 * share:.0f}%"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
