"""The look of the gallery's pictures: set before each script, so that none depends on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ORDER = (
    "first_network", "decision_boundary", "early_stopping", "optimizers", "schedules", "activations", "table_with_gaps",
    "presets", "calibration", "quantiles", "groups", "many_networks", "drift", "waves", "landscape", "one_weight",
    "contributions", "layers_in_turn", "diagnosis", "autoencoder", "pole",
)  # fmt: skip


def reset(conf: dict[str, Any], file: str) -> None:
    """Give matplotlib the gallery's settings; sphinx-gallery calls this."""
    import matplotlib

    matplotlib.rcParams.update(
        {
            "figure.figsize": (7.0, 4.2),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "savefig.dpi": 110,
            "svg.hashsalt": "steepest",
        }
    )


class Order:
    """Sorts the scripts of the gallery: from a first look to one's own gradients."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, file: str) -> int:
        """Return the place of a script; ValueError for one that has none."""
        return ORDER.index(Path(file).stem)

    def __repr__(self) -> str:
        """Return the class's name, by which Sphinx tells whether the settings have changed."""
        return "Order"
