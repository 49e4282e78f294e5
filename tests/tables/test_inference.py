"""What a column of text is: the rules, cell by cell."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from steepest.tables._inference import Inferred, infer

NUMBERS = [f"{i / 7:.6f}" for i in range(600)]


def read(*cells: str | None, **options: Any) -> Inferred:
    """The column of these cells."""
    return infer("x", pa.chunked_array([pa.array(cells, pa.string())]), **options)


def found(*cells: str | None, **options: Any) -> tuple[str, list[Any]]:
    """Kind and values of these cells."""
    column = read(*cells, **options)
    return column.kind, column.values.to_pylist()


@pytest.mark.parametrize("mark", ["-", "12%", "<0.5", ".", "#DIV/0!", "x", "$5", "\u20ac 5", "--", "unknown", "1,5x"])
@pytest.mark.parametrize("row", [0, 17, 599])
def test_t03_a_stray_mark_leaves_a_column_of_numbers(mark: str, row: int) -> None:
    cells = list(NUMBERS)
    cells[row] = mark
    column = read(*cells)
    assert column.kind == "number" and column.odd is not None
    assert (column.odd.count, column.odd.row, column.odd.text) == (1, row, mark)
    values = column.values.to_pylist()
    assert values[row] is None and values[16] == float(NUMBERS[16])


@pytest.mark.parametrize("mark", ["", " NA", "n/a", "NaN ", "?", "null", None])
def test_t03_a_missing_mark_needs_no_word(mark: str | None) -> None:
    column = read(*NUMBERS[:9], mark)
    assert column.kind == "number" and column.odd is None and column.values.null_count == 1


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "3", "4", "5", "6", "7", "-", "-", "-"], "number"),
        (["1", "2", "3", "4", "-", "-", "-", "-", "-", "-"], "text"),
        (["1", "2", "3", "4", "5", "6", "7", "8", "9", "low"], "number"),
        (["1", "2", "3", "4", "5", "6", "7", "8", "low", "high"], "text"),
        (["0", "1", "2", "3+", "1", "3+", "0", "2"] * 3, "text"),
        (["0", "1", "2", "3", "1", "3%", "0", "2"] * 1, "number"),
        (["red", "7", "blue"], "text"),
        (["1e5", "+.5", "-5.", "1E-3"], "number"),
        (["-", "-"], "text"),
        (["", "NA", "?"], "empty"),
        ([None, None], "empty"),
        ([], "empty"),
    ],
    ids=str,
)
def test_t03_most_cells_decide(cells: list[str], kind: str) -> None:
    assert read(*cells).kind == kind


def test_t03_a_repeated_header_is_a_mark() -> None:
    column = read(*NUMBERS[:5], "x", *NUMBERS[5:8])
    assert column.kind == "number" and column.odd is not None and column.odd.text == "x"


@pytest.mark.parametrize(
    "cells",
    [
        ["001", "002", "010"],
        ["94110", "01234"],
        ["-007", "1"],
        ["12345678901234567890", "12345678901234567891"],
        ["9007199254740993", "9007199254740995"],
        ["0x10", "0x11"],
        ["1_000", "2_000"],
        ["\u0661", "\u0662"],
    ],
    ids=str,
)
def test_t11_codes_stay_text(cells: list[str]) -> None:
    assert found(*cells) == ("text", cells)


def test_t11_what_only_looks_like_codes_is_numbers() -> None:
    assert found("0", "0.5", "-0.25") == ("number", [0, 0.5, -0.25])
    assert found("0", "10") == ("number", [0, 10])
    assert found("9007199254740992") == ("number", [2**53])
    assert found("0.12345678901234567890")[0] == "number"
    assert found(*["1"] * 99, "123456789012345678")[0] == "number"


@pytest.mark.parametrize("cells", [["True", " FALSE", "true"], ["TRUE", "false ", "tRuE"]])
def test_t04_true_and_false_in_any_spelling(cells: list[str]) -> None:
    assert found(*cells, "") == ("boolean", [True, False, True, None])


def test_t04_where_training_had_booleans() -> None:
    cells = ["yes", "NO", "y", "n", " T", "f", "1", "0", "on", "Off", "1.0", "TRUE", "unknown", "NA"]
    column = read(*cells, expected="boolean")
    assert column.values.to_pylist() == [True, False] * 5 + [True, True, None, None]
    assert column.odd is not None and (column.odd.count, column.odd.row, column.odd.text) == (1, 12, "unknown")
    assert found("yes", "no", "yes") == ("text", ["yes", "no", "yes"])


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "2,75"], [1.5, 2.75]),
        (["1.234,5", "2,75", "1.000"], [1234.5, 2.75, 1000]),
        (["1,234.5", "2", "12,345,678"], [1234.5, 2, 12345678]),
        (["1.5", "2,5", *["3.5"] * 20], [1.5, None, *[3.5] * 20]),
        (["0,125", "0,250"], [0.125, 0.25]),
        (["1,5", "-"], None),
    ],
    ids=str,
)
def test_t14_the_decimal_mark_is_found(cells: list[str], values: list[float] | None) -> None:
    kind, read_values = found(*cells)
    assert (kind, read_values) == ("number", values) if values else kind == "text"


@pytest.mark.parametrize("cells", [["1,234", "2,345"], ["1 234", "5 678"], ["1'234", "5'678"], ["1", "1,000"]])
def test_t14_what_cannot_be_decided_is_an_error(cells: list[str]) -> None:
    with pytest.raises(ValueError, match=r"column 'x' has ['\"]1.*['\"] in row [01] .*declare"):
        read(*cells)


DAY = datetime.datetime(2020, 12, 31)


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2020-12-31", "2020-02-01"], None),
        (["2020-12-31 00:00", "2020-02-01T00:00:00"], None),
        (["2020-12-31T00:00:00Z", "2020-02-01 01:00+01:00"], None),
        (["2020/12/31", "2020/2/1"], None),
        (["31.12.2020", "01.02.2020"], "%d.%m.%Y"),
        (["12/31/2020", "2/1/2020"], "%m/%d/%Y"),
        (["31-12-2020 00:00", "1-2-2020 00:00:00.0"], "%d-%m-%Y"),
    ],
    ids=str,
)
def test_t25_dates(cells: list[str], form: str | None) -> None:
    column = read(*cells, "")
    assert column.kind == "date" and column.form == form
    assert column.values.to_pylist() == [DAY, datetime.datetime(2020, 2, 1), None]


def test_t25_the_clock_of_a_date_counts() -> None:
    assert found("31.12.2020 23:59:58.5")[1] == [datetime.datetime(2020, 12, 31, 23, 59, 58, 500000)]
    assert found("2020-12-31 23:59+01:00")[1] == [datetime.datetime(2020, 12, 31, 22, 59)]


@pytest.mark.parametrize("cells", [["01.02.2020", "03.04.2020"], ["31.12.2020", "12.31.2020"], ["1/2/2020"]], ids=str)
def test_t25_an_order_that_cannot_be_told_is_an_error(cells: list[str]) -> None:
    with pytest.raises(ValueError, match=r"column 'x' has '.*' in row 0 .*declare how dates are written, as dates='%"):
        read(*cells)


def test_t25_a_declared_form_decides() -> None:
    assert found("01.02.2020", form="%d.%m.%Y")[1] == [datetime.datetime(2020, 2, 1)]
    assert found("01.02.2020", form="%m.%d.%Y")[1] == [datetime.datetime(2020, 1, 2)]
    assert found("20200131", "20200229", form="%Y%m%d")[1][1] == datetime.datetime(2020, 2, 29)
    assert found("31 Jan 20", "1 Feb 70", form="%d %b %y")[0] == "date"
    assert found("31/01/20", "01/02/70", form="%d/%m/%y")[1] == [
        datetime.datetime(2020, 1, 31), datetime.datetime(1970, 2, 1),
    ]  # fmt: skip
    assert found("1", "2", form="%d.%m.%Y") == ("number", [1, 2])
    assert found("02.02.2020", "02.02.2021")[0] == "date"  # the same either way


def test_t25_days_that_are_none_are_missing() -> None:
    column = read(*["2020-01-02"] * 10, "2020-02-30")
    assert column.kind == "date" and column.odd is not None and column.odd.text == "2020-02-30"
    assert read("1.2", "1.3").kind == "number" and read("12-31", "1-2").kind == "text"


def test_t11_times_of_day() -> None:
    assert found("08:00", "8:30", "23:59:59.5", "-") == (
        "clock", [datetime.time(8), datetime.time(8, 30), datetime.time(23, 59, 59, 500000), None],
    )  # fmt: skip
    assert found("25:00", "08:61")[0] == "text"


@pytest.mark.parametrize("expected", ["number", "date", "clock"])
def test_what_is_expected_stays_text_where_most_is_words(expected: Any) -> None:
    assert found("large", "small", expected=expected) == ("text", ["large", "small"])
    column = read("-", expected=expected)
    assert column.kind == expected and column.odd is not None and column.values.null_count == 1


def test_expected_kinds() -> None:
    assert found("7", "007", expected="number") == ("number", [7, 7])
    assert found("7", "", expected="text") == ("text", ["7", ""])
    assert found("7", "a", "8", expected="number") == ("number", [7, None, 8])
    assert found("true", "false", expected="number") == ("boolean", [True, False])
    assert found("2020-12-31", expected="number") == ("date", [DAY])


def test_text_keeps_its_labels() -> None:
    assert found("NA", "US", " ", "") == ("text", ["NA", "US", None, None])
    assert found("a", "-9", "3", missing=("-9",)) == ("text", ["a", None, "3"])
    assert found("1", "-9", "NA", missing=("-9",))[0] == "text"


def test_large_columns_are_read_as_small_ones() -> None:
    cells = [f"{i / 8}" for i in range(50_000)]
    assert found(*cells) == ("number", [i / 8 for i in range(50_000)])
    cells[49_999] = "-"
    assert read(*cells).odd is not None
    assert read(*["a"] * 49_000, *cells[:1000]).kind == "text"
    assert read(*[None] * 49_000, *cells[:1000]).kind == "number"
