"""The look of the gallery's pictures: set before each script, so that none depends on another."""

from __future__ import annotations

from typing import Any


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
