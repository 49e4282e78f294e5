"""Columns of files: text to types, with one notation of numbers for a whole file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._extras import import_pyarrow
from ..files import MISSING
from ._cells import PLAIN, Notation, matches, sample_of
from ._inference import NUMBERLIKE, Inferred, infer, is_text
from ._notation import find_shared_notation, has_mark
from ._reading_options import Options


def notation_of(names: Sequence[str], columns: Sequence[Any], options: Options, sep: str | None) -> Notation:
    """Return how the numbers of all columns of text are written; `sep` parts the fields of the file, if it is CSV."""
    compute = import_pyarrow().compute
    if options.decimal is not None or options.thousands is not None:
        return find_shared_notation({}, options.decimal, options.thousands)
    candidates: dict[str, Any] = {}
    contested = False
    marks = MISSING if options.missing is None else options.missing
    for name, column in zip(names, columns, strict=True):
        if not is_text(column.type) or options.kind_of(name) not in (None, "number") or options.form_of(name):
            continue
        sample = compute.utf8_trim_whitespace(sample_of(column))
        if 4 * (compute.sum(matches(sample, NUMBERLIKE)).as_py() or 0) <= len(sample) - sample.null_count:
            continue
        candidates[name] = column
        comma = compute.any(compute.match_substring(column, ",")).as_py()
        points = sep == ";" and compute.any(compute.match_substring(sample, ".")).as_py()
        contested = contested or bool(comma) or bool(points) or has_mark(sample)
    if not contested:
        return PLAIN
    trimmed = {name: compute.utf8_trim_whitespace(column) for name, column in candidates.items()}
    there = {
        name: compute.if_else(
            compute.is_in(cells, import_pyarrow().array(marks, cells.type)),
            import_pyarrow().scalar(None, cells.type),
            cells,
        )
        for name, cells in trimmed.items()
    }
    return find_shared_notation(there, sep=sep)


def inferred(name: str, column: Any, options: Options, notation: Notation) -> Inferred:
    """Read a column of text as `infer` does; one that is declared to be text becomes categories."""
    arrow = import_pyarrow()
    if str(column.type) == "string_view":
        column = column.cast(arrow.large_string())
    kind = options.kind_of(name)
    found = infer(
        name, column, kind, missing=options.missing, notation=notation, form=options.form_of(name),
        one_kind=not options.kinds,  # else a model knows those that matter
    )  # fmt: skip
    declared = name in options.text and found.kind == "text"
    return found._replace(values=found.values.dictionary_encode()) if declared else found
