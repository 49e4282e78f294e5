"""The section about the columns: what the model makes of each, in words."""

from __future__ import annotations

from ..estimators import MLPClassifier, MLPRegressor
from ..pages.html import table
from ..pages.page import Section, paragraph, scrollable


def table_section(model: MLPClassifier | MLPRegressor) -> Section | None:
    """Return the section about the encoder; None for a model of plain numbers."""
    encoder = model._fitted.preprocessor.encoder
    if encoder is None:
        return None
    headings, *rows = (list(row) for row in encoder.describe().rows())
    opening = paragraph(
        f"The network does not see the table itself: {len(encoder.columns):,} columns became {encoder.n_features:,} "
        "numbers, by rules that were learned from the rows it trained on."
    )
    listed = table("What becomes of each column", headings, rows)
    return Section("columns", "What it is told", [opening, scrollable(listed, "Columns")])
