"""River's base classes, where it is installed: its pipelines and evaluation then take these models for its own."""

from __future__ import annotations

from typing import Any

try:
    from river.base import Classifier, Regressor
except ImportError:  # river is optional

    class Regressor:  # type: ignore[no-redef]
        """Nothing."""

    class Classifier:  # type: ignore[no-redef]
        """The label of a row by its probabilities."""

        def predict_one(self, x: Any) -> Any:
            """Return the most likely label, None before the first one was seen."""
            probabilities = self.predict_proba_one(x)  # type: ignore[attr-defined]
            return max(probabilities, key=probabilities.get, default=None)


__all__ = ["Classifier", "Regressor"]
