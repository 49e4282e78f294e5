"""Where rows come from makes no difference: sparse ones take the steps of dense ones, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import steepest as st
from helpers import normal, state_of
from steepest.training import _rows
from steepest.training._loop import run_epochs
from steepest.training._rows import ArrayRows, RowSource, SparseRows

X = normal(0, (2500, 6)) * (normal(1, (2500, 6)) > 0)  # more than two blocks
LABELS = (X.sum(axis=1) > 0) * 1
WEIGHT = np.where(np.arange(2500) < 40, 0.0, np.arange(2500) % 3 + 1.0)


def halved(block: Any) -> Any:
    return block / 2


def sources(weight: Any) -> list[RowSource]:
    return [ArrayRows(X / 2, LABELS, weight), SparseRows(scipy.sparse.csr_matrix(X), LABELS, weight, halved)]


def make_trainer(**options: Any) -> st.Trainer:
    layers = [st.Dense(8, "tanh"), st.Dropout(0.2), st.Dense(2)]
    return st.Trainer(
        st.Network(6, layers, dtype="float64"), "cross_entropy", st.Adam(st.schedules.cosine(0.01)), **options
    )


@pytest.mark.parametrize("options", [{}, {"accumulate": 3, "ema": 0.9, "mixup": 0.2}], ids=str)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_sparse_rows_train_as_dense_ones(options: dict[str, Any], weight: Any, shuffle: bool) -> None:
    histories, states = [], []
    for rows in sources(weight):
        trainer = make_trainer(**options)
        histories.append(run_epochs(trainer, rows, rows, ["accuracy", "auc"], [], 3, 64, shuffle))
        states.append(state_of(trainer))
    assert states[0] == states[1]
    for name in histories[0].keys() - {"seconds"}:
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=1e-12)


def test_functions_see_all_sparse_rows() -> None:
    def spread(y: Any, outputs: Any) -> float:
        np.testing.assert_array_equal(y, LABELS)
        return float(outputs.std())

    dense, sparse = (run_epochs(make_trainer(), rows, rows, [spread], [], 1, 64, True) for rows in sources(None))
    assert sparse["val_spread"] == dense["val_spread"]


def test_progress_within_an_epoch_of_sparse_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "PROGRESS_INTERVAL", 0.0)
    seen: list[tuple[int, bool]] = []
    watch = st.LambdaCallback(on_progress=lambda fit: seen.append((fit.rows_done, fit.running_loss > 0)))
    run_epochs(make_trainer(), sources(None)[1], None, None, [watch], 1, 1000, True)
    assert seen == [(1000, True), (2000, True), (2500, True)]


@pytest.mark.parametrize("row", [0, 2100])  # of the first block, and of a later one
@pytest.mark.parametrize("what", ["x", "y", "sample_weight"])
def test_check_looks_at_every_sparse_row(what: str, row: int) -> None:
    x, labels, weight = X.copy(), LABELS.copy(), WEIGHT.copy()
    {"x": x[row], "y": labels[row:], "sample_weight": weight[row:]}[what][0] = {"x": np.nan, "y": 7}.get(what, -1)
    core = make_trainer()._core
    place = {0: "at row 0", 2100: rf"at row {2100 - 2048}\b.*\(counted from row 2048\)"}[row]
    with pytest.raises(ValueError, match=f"{what} has .*{place}"):
        SparseRows(scipy.sparse.csr_matrix(x), labels, weight, halved).check(core)


def test_check_takes_a_block_without_weight() -> None:
    rows, core = scipy.sparse.csr_matrix(X), make_trainer()._core
    weight = np.where(np.arange(2500) < 1024, 0.0, 1.0)
    assert SparseRows(rows, LABELS, weight, halved).check(core) == 2500
    with pytest.raises(ValueError, match="sample_weight sums to 0"):
        SparseRows(rows, LABELS, 0 * weight, halved).check(core)
