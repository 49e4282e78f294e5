"""The report in headless Chromium: no error, every figure seen, at both widths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

import steepest as st
from browser_pages import NARROW, WIDE, OpenedPage
from helpers import normal

pytest.importorskip("matplotlib", reason="the report's charts need matplotlib")

from steepest.report import report_page

FIGURES = {
    "classes": tuple(f"{name}-chart" for name in ("confusion", "calibration", "importance", "course")),
    "numbers": tuple(f"{name}-chart" for name in ("predicted", "calibration", "importance", "course")),
}


def written(kind: str, folder: Path) -> Path:
    """The report of a model of many columns with long names."""
    x = normal(0, (300, 20))
    table = pyarrow.table({f"a column whose name is rather long, number {i}": x[:, i] for i in range(20)})
    y: Any = x @ np.arange(20.0) * 1e4
    model: Any = st.MLPRegressor(random_state=0, max_iter=5)
    if kind == "classes":
        y = np.array([f"class {i}" for i in np.digitize(y, np.quantile(y, np.linspace(0, 1, 9)[1:-1]))])
        model = st.MLPClassifier(random_state=0, max_iter=5)
    model.fit(table, y)
    path = folder / f"{kind}.html"
    page = report_page(model, table, y, target="a target with a long name, too", numbers={"r2": 1}, source="A test.")
    path.write_text(page, "utf-8")
    return path


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_report_can_be_read(kind: str, width: int, browser: Any, tmp_path: Path) -> None:
    opened = OpenedPage(browser, written(kind, tmp_path), width)
    opened.shows(FIGURES[kind])
    opened.fits_its_width()
    opened.has_large_letters()
    opened.close()
