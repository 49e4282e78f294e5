"""Values that fits on the same rows have in common, such as the candidates of a search: made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

Once = Callable[[Callable[[], Any]], Any]  # calls a function, or returns what it returned another time


class Shared:
    """Values by what they follow from."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of this key, made where there is none yet."""
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]  # type: ignore[no-any-return]
