"""Columns that go wrong elsewhere, by their numbers, against features computed in plain NumPy."""

from __future__ import annotations

import datetime
import json
import math
import warnings
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from helpers import normal
from steepest import MLPClassifier
from steepest.tables import DataWarning, TableEncoder
from steepest.tables._bins import spread_edges
from steepest.tables._robust import center_and_scale, quantiles, robust_standardizer
from steepest.tables._target_means import as_targets, out_of_fold_means, target_means

QUARTILES = 1.3489795003921634  # of a normal distribution lie so many deviations apart


# --- Scales ---


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 100, 101])
def test_quantiles_are_numpys(n: int) -> None:
    values = np.sort(normal(n, (n,)))
    shares = (0, 0.1, 0.25, 0.5, 0.75, 1)
    found = quantiles(values, None, shares)
    np.testing.assert_allclose(found, np.quantile(values, shares, method="averaged_inverted_cdf"), rtol=1e-12)
    assert quantiles(values, np.full(n, 2.0), shares) == quantiles(np.repeat(values, 2), None, shares)


def test_scale_is_that_of_a_normal_distribution() -> None:
    center, scale = center_and_scale(np.sort(3 + 2 * normal(0, (20_000,))))
    assert center == pytest.approx(3, abs=0.1) and scale == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0] * 4, (5, 1)),
        ([0.0] * 9 + [1.0], (0, 1)),  # both quartiles are one number: the distance of the others
        ([0.0] * 90 + [4.0, 5.0, 6.0] * 3, (0, 5)),
        ([-9999.0] * 50 + [1.0, 2.0, 3.0, 4.0] * 25, (2.5, 2 / QUARTILES)),  # a third are sentinels
        ([1.0, 2.0, 3.0, 4.0] * 25 + [1e9] * 80, (2.5, 2 / QUARTILES)),
    ],
    ids=str,
)
def test_t06_piles_and_sentinels_have_no_share_in_the_scale(values: list[float], expected: tuple[float, float]) -> None:
    assert center_and_scale(np.sort(values)) == pytest.approx(expected)


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize(("no", "yes"), [("no", "yes"), ("F", "T"), ("off", "On")])
def test_t04_true_and_false_are_what_training_had_in_words(no: str, yes: str, *, third: bool) -> None:
    flags = normal(0, (60,)) > 0
    words = np.where(flags, yes, no).astype(object)
    if third:
        words[0], flags = "maybe", flags[1:]
    encoder = TableEncoder().fit({"a": words})
    found, expected = encoder.transform({"a": flags}), encoder.transform({"a": words})
    np.testing.assert_array_equal(found, expected[len(words) - len(flags) :])
    assert len(np.unique(found, axis=0)) == 2


def test_t04_true_and_false_in_any_spelling_predict_the_same() -> None:
    draw = np.random.default_rng(0)
    flag, x = draw.random(400) < 0.5, draw.normal(size=400)
    y = np.where(flag ^ (x > 0), "a", "b")
    model = MLPClassifier(random_state=0, ensemble=1, max_iter=30).fit(pd.DataFrame({"flag": flag, "x": x}), y)
    expected = model.predict(pd.DataFrame({"flag": flag, "x": x}))
    assert (expected == y).mean() > 0.9
    for no, yes in (("FALSE", "TRUE"), (" False", "True "), ("no", "yes"), ("0", "1"), (0, 1), (0.0, 1.0)):
        found = model.predict(pd.DataFrame({"flag": [yes if each else no for each in flag], "x": x}))
        np.testing.assert_array_equal(found, expected)
    odd = pd.DataFrame({"flag": ["unknown", *np.where(flag[1:], "yes", "no")], "x": x})
    with pytest.warns(DataWarning, match="'flag': 1 of 400 cells are neither true nor false.* 'unknown' in row 0"):
        np.testing.assert_array_equal(model.predict(odd)[1:], expected[1:])


def test_numbers_are_the_labels_that_training_had() -> None:
    scale = TableEncoder().fit({"a": ["0", "1", "2+", "1"] * 5})
    expected = scale.transform({"a": ["0", "1", None]})
    for found in ([0, 1, None], [0.0, 1.0, np.nan], pd.Categorical([0, 1, None])):
        np.testing.assert_array_equal(scale.transform(pd.DataFrame({"a": found})), expected)
    categories = pd.DataFrame({"a": pd.Categorical([1, 2, 3] * 5)})
    encoder = TableEncoder().fit(categories)
    np.testing.assert_array_equal(
        encoder.transform({"a": np.array([3, 1])}), encoder.transform(categories.iloc[[2, 0]])
    )
    words = TableEncoder().fit({"a": ["yes", "no"] * 5})
    np.testing.assert_array_equal(words.transform({"a": [1, 0]}), words.transform({"a": ["yes", "no"]}))
    for encoder, odd in ((scale, [7, 8]), (words, [1, 2]), (words, [5, 6])):
        with pytest.raises(ValueError, match="column 'a' is numbers: expected text as in training"):
            encoder.transform({"a": odd})


def test_white_space_around_labels_counts_for_nothing() -> None:
    encoder = TableEncoder().fit({"a": ["no", "yes ", "yes", " no", "\tmaybe"] * 4})
    assert encoder.feature_names == ["a=maybe", "a=no", "a=yes"]
    expected = encoder.transform({"a": ["yes", "no"]})
    for found in (["yes ", " no"], pd.Categorical(["yes\n", "no "])):
        np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"a": found})), expected)
    np.testing.assert_array_equal(encoder.transform({"a": " yes "}), expected[:1])


def test_t04_categories_of_true_and_false() -> None:
    encoder = TableEncoder().fit({"a": [True, False] * 5})
    found = encoder.transform(pd.DataFrame({"a": pd.Categorical(["True", "False", " true", "no"])}))
    np.testing.assert_array_equal(found, encoder.transform({"a": [True, False, True, False]}))


def test_labels_of_which_training_had_none_are_told() -> None:
    encoder = TableEncoder().fit({"a": ["F", "M"] * 10, "b": ["u", "v", "w", "u"] * 5})
    other = {"a": ["male", "female"] * 5, "b": ["u", "x"] * 5}
    words = (
        "column 'a': no label of 10 rows was there in training, the first is 'male' in row 0: expected such as 'F', 'M'"
    )
    with pytest.warns(DataWarning) as said:
        encoder.transform(other)
    assert [str(each.message) for each in said] == [words]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform({"a": ["male"] * 3, "b": ["x"] * 3})
        encoder.transform({"a": [None] * 10, "b": ["u"] * 10})


@pytest.mark.parametrize("n", [1, 2, 50, 3000])
def test_quantiles_make_normal_scores(n: int) -> None:
    table = pd.DataFrame({"a": np.exp(3 * normal(0, (n,))), "t": "x"})
    encoder = TableEncoder(bins=0, numbers="quantile").fit(table)
    found = encoder.transform(table)[:, 0]
    order = np.argsort(table["a"].to_numpy())
    exact = np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])
    inner = slice(n // 50, n - n // 50)
    np.testing.assert_allclose(found[order][inner], exact[inner], atol=0.03)
    assert (np.diff(found[order]) >= 0).all()
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    np.testing.assert_array_equal(again.transform(table)[:, 0], found)
    np.testing.assert_array_equal(encoder.transform(table[:1])[:, 0], found[:1])
    far = encoder.transform({"a": [1e300, -1e300], "t": ["x", "x"]})[:, 0]
    assert far.tolist() == [found.max(), found.min()]
    assert "normal scores by quantiles" in str(encoder.describe())


def test_quantiles_of_a_column_with_piles_gaps_and_a_sentinel() -> None:
    values = np.r_[np.zeros(300), np.arange(1.0, 301), np.full(100, np.nan), np.full(50, -9999.0)]
    encoder = TableEncoder(numbers="quantile").fit({"a": values})
    names, found = encoder.feature_names, encoder.transform({"a": values})
    assert names[0] == "a" and names[1].startswith("a from 0 to ") and names[-1] == "a is missing"
    assert np.unique(found[:300, 0]) == pytest.approx([NormalDist().inv_cdf(0.25)], abs=0.01)
    assert found[600:, 0].tolist() == [0] * 150 == (1 - found[600:, -1]).tolist()
    assert encoder.notes[0].remarks == ("-9999 in 50 rows counts as missing",)
    np.testing.assert_array_equal(encoder.transform({"a": [-9999.0]}), encoder.transform({"a": [np.nan]}))
    data = encoder.to_dict()
    data["columns"][0]["quantiles"] = [2.0, 1.0]
    with pytest.raises(ValueError, match="quantiles of column 'a' decrease"):
        TableEncoder.from_dict(data)


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("n", [40, 3000])
def test_t06_an_outlier_leaves_the_others_as_they_are(kind: str, n: int) -> None:
    x = normal(0, (n, 2))
    spoilt = x.copy()
    spoilt[3, 0] = 1e6

    def features(rows: Any) -> Any:
        if kind == "array":
            return robust_standardizer(rows).transform(rows)
        table = pd.DataFrame(rows, columns=["a", "b"])
        return TableEncoder(bins=0).fit(table, x[:, 1] ** 2).transform(table)

    clean, found = (np.delete(features(rows), 3, axis=0) for rows in (x, spoilt))
    assert np.abs(found - clean).max() < 6 / n and features(spoilt)[3, 0] == 10


def test_robust_scaling_takes_sparse_rows_and_weights_as_repeated_rows() -> None:
    import scipy.sparse

    x = np.round(normal(0, (60, 5))) * (normal(1, (60, 5)) > 0)
    times = np.arange(60) % 3
    expected = robust_standardizer(np.repeat(x, times, axis=0))
    for rows in (x, scipy.sparse.csr_matrix(x)):
        found = robust_standardizer(rows, times)
        assert np.array_equal(found.mean, expected.mean) and np.array_equal(found.scale, expected.scale)
    rare = scipy.sparse.random(500, 90, 0.01, "csr", random_state=0)
    found, expected = robust_standardizer(rare), robust_standardizer(rare.toarray())
    assert np.array_equal(found.mean, expected.mean) and np.array_equal(found.scale, expected.scale)


# --- Bins ---


def test_t22_a_pile_leaves_the_bins_to_the_others() -> None:
    z = np.sort(np.where(np.arange(8000) < 6960, 0.0, np.exp(normal(0, (8000,)))))
    edges = spread_edges(z, 32)
    positive = z[z > 0]
    assert 30 <= len(edges) <= 33 and edges[:2] == [0, positive[0]]  # one bin tells the pile from all others
    counts = np.histogram(positive, edges[1:])[0]
    assert counts.max() < 2.5 * len(positive) / len(counts)


def test_t22_a_pile_among_others_is_told_from_both_sides() -> None:
    z = np.sort(np.concatenate([np.zeros(3000), normal(0, (1000,))]))
    edges = spread_edges(z, 16)
    at = edges.index(0.0)
    assert edges[at - 1] == z[z < 0].max() and edges[at + 1] == z[z > 0].min() and len(edges) <= 17


@pytest.mark.parametrize("bins", [0, 2, 8, 32])
def test_edges_without_piles_are_quantiles(bins: int) -> None:
    z = np.sort(normal(0, (5000,)))
    expected = np.quantile(z, np.linspace(0, 1, bins + 1), method="closest_observation").tolist() if bins else []
    assert spread_edges(z, bins) == expected


# --- Labels ---


def cities(n: int, labels: int) -> tuple[pd.DataFrame, Any]:
    draw = np.random.default_rng(0)
    city = draw.integers(0, labels, n)
    return pd.DataFrame({"city": [f"c{i}" for i in city]}), (normal(1, (labels,))[city] + draw.normal(size=n) > 0) * 1


def test_t23_target_means_are_shrunk_means() -> None:
    codes, y = np.array([0, 0, 0, 1, 1, 2, 3, 3]), np.array([1.0, 2, 3, 7, 9, 4, 5, 6])[:, None]
    prior, spread, means = target_means(codes, 3, y, None)
    assert prior == y.mean() and means[-1] == prior
    own = np.array([2.0, 8, 4, 5.5])
    between = np.array([3, 2, 1, 2]) @ (own - prior) ** 2
    within = (((y[:, 0] - prior) ** 2).sum() - between) / (8 - 4)
    variance = (between / 3 - within) / ((8 - (9 + 4 + 1 + 4) / 8) / 3)
    share = np.array([3, 2, 1, 2]) * variance / (np.array([3, 2, 1, 2]) * variance + within)
    np.testing.assert_allclose(means[:4, 0], prior + share * (own - prior), rtol=1e-12)
    np.testing.assert_allclose(spread, np.sqrt(np.mean((means[codes] - prior) ** 2)), rtol=1e-12)


def test_t23_no_row_learns_from_its_own_target() -> None:
    codes, y = np.arange(300) % 60, normal(0, (300, 1))
    found = out_of_fold_means(codes, 60, y, None)
    changed = y.copy()
    changed[7] += 5
    before, after = (target_means(codes, 60, each, None) for each in (y, changed))
    raw = [
        means * t.spread + t.prior
        for means, t in ((found, before), (out_of_fold_means(codes, 60, changed, None), after))
    ]
    same_fold = np.isclose(raw[0], raw[1], rtol=0, atol=1e-12).ravel()
    assert same_fold[7] and same_fold.sum() == 60 and abs(np.corrcoef(found[:, 0], y[:, 0])[0, 1]) < 0.2


def test_t23_many_labels_have_means_and_the_frequent_ones_slots() -> None:
    frame, y = cities(4000, 600)
    frame.loc[:199, "city"] = "often"
    encoder = TableEncoder().fit(frame, y, "classification")
    assert encoder.feature_names == ["city=often", "city is unseen", "city, target mean"]
    x = encoder.transform(frame)
    means = pd.Series(y).groupby(frame["city"]).transform("mean")
    assert np.corrcoef(x[:, 2], means)[0, 1] > 0.95
    trained = TableEncoder().fit_transform(frame, y, "classification")
    assert abs(np.corrcoef(trained[:, 2], means - y)[0, 1]) < np.corrcoef(trained[:, 2], y)[0, 1]
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert np.array_equal(again.transform(frame), x)
    assert again.transform({"city": ["elsewhere", None]})[0, 2] == 0


@pytest.mark.parametrize("n_classes", [2, 3, 11])
def test_targets_that_means_are_taken_of(n_classes: int) -> None:
    y = np.arange(30) % n_classes
    found = as_targets(y)
    expected = {2: y[:, None], 3: np.eye(11)[y][:, :3], 11: None}[n_classes]
    assert found is None if expected is None else np.array_equal(found, expected)  # type: ignore[arg-type]
    assert np.array_equal(as_targets(y / 2), y[:, None] / 2)  # type: ignore[arg-type]


def test_t23_an_id_is_named_and_left_out() -> None:
    frame = pd.DataFrame({"id": [f"u{i}" for i in range(200)], "x": normal(0, (200,))})
    with pytest.warns(DataWarning, match="column 'id': left out as an id: 200 different values in 200 rows") as caught:
        encoder = TableEncoder().fit(frame, normal(1, (200,)))
    assert caught[0].filename == __file__
    assert encoder.feature_names[0] == "x" and encoder.describe().columns[0].becomes == "nothing"
    with (
        pytest.warns(DataWarning),
        pytest.raises(ValueError, match="no column with values to learn from.*'id' has left out"),
    ):
        TableEncoder().fit(frame[["id"]], normal(1, (200,)))


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True]])
@pytest.mark.parametrize("gap", [False, True])
def test_two_labels_are_one_feature(labels: list[Any], gap: bool) -> None:
    values = [labels[0], labels[1], None if gap else labels[0]]
    encoder = TableEncoder().fit({"x": values}, [1.0, 2.0, 3.0])
    assert encoder.n_features == 1 + gap
    assert encoder.transform({"x": values})[:, 0].tolist() == [-1, 1, 0 if gap else -1]
    assert encoder.transform({"x": [None, labels[1]]}).tolist() == [[0, 1][: 1 + gap], [1, 0][: 1 + gap]]


# --- Few features for many columns ---


def test_t05_one_gap_costs_one_feature() -> None:
    frame = pd.DataFrame(normal(0, (200, 1500))).rename(columns=str)
    y = normal(1, (200,))
    frame.iloc[0, 0] = np.nan
    assert TableEncoder().fit(frame, y).n_features == 1501
    frame.iloc[1, :] = np.nan
    assert TableEncoder().fit(frame, y).n_features == 1500 + 256


def test_t05_labels_of_many_columns_keep_to_a_budget() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({f"t{i}": draw.integers(0, 250, 3000) for i in range(30)}).map(lambda i: f"v{i}")
    assert TableEncoder().fit(frame, draw.normal(size=3000)).n_features <= 2048 + 2 * 30


@pytest.mark.parametrize("rows", [1, 5, 1500])
def test_t05_rows_become_the_same_features_in_any_parts(rows: int) -> None:
    draw = np.random.default_rng(0)
    n = 1500
    frame = pd.DataFrame({
        "x": np.where(draw.random(n) < 0.1, np.nan, draw.normal(size=n)),
        "t": draw.choice(["a", "b", "c"], n),
        "b": draw.random(n) < 0.5,
        "d": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 9000, n), unit="h"),
        "z": draw.normal(size=n),
    })  # fmt: skip
    encoder = TableEncoder().fit(frame, draw.normal(size=n))
    encoded = encoder.encode(frame)
    assert encoded.nbytes < n * (3 * 8 + 4 + 4 * 9) + 1 and encoded.shape == (n, encoder.n_features)
    places = draw.permutation(n)[:rows]
    assert np.array_equal(encoded[places].toarray(), encoder.transform(frame)[places])


@pytest.mark.parametrize("form", ["dict", "frame"])
def test_t26_one_row_is_as_among_others(form: str) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({
        "x": draw.normal(size=400), "i": draw.integers(0, 5, 400), "t": draw.choice(["a", "b", None], 400),
        "many": draw.integers(0, 300, 400).astype(str) + np.full(400, "m", object), "b": draw.random(400) < 0.5,
    })  # fmt: skip
    encoder = TableEncoder(bins=4).fit(frame, draw.normal(size=400))
    expected = encoder.transform(frame)
    for i in range(40):
        row: Any = frame.iloc[i].to_dict() if form == "dict" else frame.iloc[i : i + 1]
        assert encoder.transform_one(row) is not None
        assert np.array_equal(encoder.transform(row), expected[i : i + 1])
    gaps = dict.fromkeys(frame)
    assert np.array_equal(encoder.transform(gaps), encoder.transform({name: [None] for name in frame}))
    with pytest.raises(ValueError, match="no column 'x'"):
        encoder.transform({"t": "a"})


# --- Dates and times ---


def cycle(share: float) -> list[float]:
    return [math.sin(2 * math.pi * share), math.cos(2 * math.pi * share)]


def test_dates_are_a_number_and_their_cycles() -> None:
    start = datetime.datetime(2019, 12, 30, 5, 30)
    dates = [start + datetime.timedelta(hours=37 * i) for i in range(300)]
    encoder = TableEncoder(bins=0).fit({"d": dates}, normal(0, (300,)))
    x = encoder.transform({"d": [*dates, None]})
    expected = []
    for date in dates:
        first = datetime.datetime(date.year, 1, 1)
        days = (datetime.datetime(date.year + 1, 1, 1) - first).days
        month = (
            datetime.datetime(date.year + date.month // 12, date.month % 12 + 1, 1)
            - date.replace(day=1, hour=0, minute=0)
        ).days
        seconds = date.hour * 3600 + date.minute * 60
        shares = ((date - first).days / days, (date.day - 1) / month, date.weekday() / 7, seconds / 86400)
        expected.append([way for share in shares for way in cycle(share)])
    np.testing.assert_allclose(x[:-1, 1:], expected, rtol=0, atol=1e-6)
    assert not x[-1].any() and (np.diff(x[:-1, 0]) > 0).all()
    ways = [f"d, {way} of the {each}" for each in ("year", "month", "week", "day") for way in ("sine", "cosine")]
    assert encoder.feature_names == ["d", *ways]


def test_only_cycles_that_vary_are_features() -> None:
    days = np.arange("2020-01-06", "2022-01-01", 7, dtype="M8[D]")  # Mondays
    names = TableEncoder(bins=0).fit({"d": days}, np.arange(len(days)) ** 0.5).feature_names
    assert not any("week" in name or "of the day" in name for name in names) and len(names) == 5
    times = pa.array([datetime.time(8), datetime.time(20), None])
    clock = TableEncoder(bins=0).fit(pa.table({"t": times}), [1.0, 2.0, 3.0])
    assert clock.feature_names == ["t", "t is missing", "t, sine of the day", "t, cosine of the day"]
    x = clock.transform(pa.table({"t": pa.array([datetime.time(6), datetime.time(18), None])}))
    np.testing.assert_allclose(x[:, 2:], [[1, 0], [-1, 0], [0, 0]], atol=1e-6)


def test_times_are_kept_as_json_and_other_kinds_refused() -> None:
    days = np.arange("2020-01-06", "2020-09-01", 3, dtype="M8[D]")
    encoder = TableEncoder().fit({"d": days}, np.arange(len(days)) ** 0.5)
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert np.array_equal(again.transform({"d": days}), encoder.transform({"d": days}))
    with pytest.raises(ValueError, match="column 'd' is of kind number: expected dates as in training"):
        encoder.transform({"d": [1.0, 2.0]})


# --- In words ---


def test_describe() -> None:
    n = 120
    table = {
        "size": [None, *range(n - 1)], "color": ["red", "green", "blue"] * 40, "none": [None] * n, "same": [3.0] * n,
        "rare": [None] * 100 + [1.0, 2.0] * 10, "number": np.arange(n), "sold": [True, False] * 60,
    }  # fmt: skip
    with pytest.warns(DataWarning, match="column 'sold': tells the target in every row"):
        encoder = TableEncoder(bins=4).fit(table, ["y", "n"] * 60, "classification", target_name="out")
    found = encoder.describe()
    assert [(c.name, c.kind, c.missing, c.different) for c in found.columns] == [
        ("size", "number", 1, 119), ("color", "text", 0, 3), ("none", "empty", n, 0), ("same", "number", 0, 1),
        ("rare", "number", 100, 2), ("number", "number", 0, n), ("sold", "boolean", 0, 2),
    ]  # fmt: skip
    remarks = {c.name: "; ".join(c.remarks) for c in found.columns}
    assert remarks["none"] == "no value in any row" and remarks["same"] == "constant: says nothing"
    assert remarks["rare"] == "missing in 83% of the rows" and remarks["number"].startswith("counts the rows")
    assert sum(c.features for c in found.columns) == encoder.n_features
    lines = str(found).splitlines()
    assert lines[0].split() == ["column", "kind", "missing", "different", "becomes", "remarks"]
    assert lines[2].split("  ")[-1].strip() == "3 labels, one-hot" and lines[-1] == "target: out, 2 classes"
    assert len(found.rows()) == 8 and json.loads(json.dumps(found.to_dict()))["columns"][4]["missing"] == 100
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.describe() == found


# --- A transformer of scikit-learn's ---


def test_it_is_a_transformer() -> None:
    frame = pd.DataFrame({"a": normal(0, (300,)), "t": ["x", "y", "z"] * 100}, index=np.arange(300) + 7)
    y = (frame["a"] > 0).to_numpy()
    encoder = clone(TableEncoder(bins=4))
    assert encoder.get_params() == {"bins": 4, "numbers": "robust"}
    assert encoder.set_params(bins=2).bins == 2
    with pytest.raises(TypeError):
        encoder.set_params(bin=3)
    assert encoder.fit(frame).n_features_in_ == 2 and encoder.feature_names_in_.tolist() == ["a", "t"]
    assert encoder.get_feature_names_out(["a", "t"]).tolist() == encoder.feature_names
    with pytest.raises(ValueError, match="input_features is"):
        encoder.get_feature_names_out(["b"])
    assert cross_val_score(make_pipeline(encoder, LogisticRegression()), frame, y, error_score="raise").min() > 0.9
    out = encoder.set_output(transform="pandas").transform(frame)
    assert out.index.equals(frame.index) and out.columns.tolist() == encoder.feature_names
    assert clone(encoder).fit_transform(frame, y).equals(out)
    both = ColumnTransformer([("table", TableEncoder(bins=0), ["a", "t"])]).set_output(transform="pandas")
    assert both.fit_transform(frame, y).columns.tolist() == [f"table__{name}" for name in ("a", "t=x", "t=y", "t=z")]
    with pytest.raises(ValueError, match="transform is 'arrow'"):
        encoder.set_output(transform="arrow")
