"""The section about the columns: what the model makes of each, in words."""

from __future__ import annotations

from ..estimators import MLPClassifier, MLPRegressor
from ..pages.html import table
from ..pages.page import Section, paragraph, scrollable
from ..tables import LabelFeatures


def table_section(model: MLPClassifier | MLPRegressor) -> Section | None:
    """Return the section about the encoder; None for a model of plain numbers."""
    encoder = model._fitted.preprocessor.encoder
    if encoder is None:
        return None
    rows = []
    for column in encoder.columns:
        kind = f"{column.kind}, {len(column.labels):,} labels" if isinstance(column, LabelFeatures) else "numbers"
        rows.append([column.name, kind, f"{column.n_features:,}"])
    opening = paragraph(
        f"The network does not see the table itself: {len(encoder.columns):,} columns became {encoder.n_features:,} "
        "numbers, by rules that were learned from the rows it trained on."
    )
    listed = table("What becomes of each column", ["column", "kind", "inputs"], rows)
    return Section("columns", "What it is told", [opening, scrollable(listed, "Columns")])
