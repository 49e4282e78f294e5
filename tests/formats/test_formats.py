"""What older versions wrote is read, and goes on to the same bits."""

from __future__ import annotations

import csv
import importlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from formats import make

FOLDERS = sorted(path for path in Path(__file__).parent.iterdir() if (path / "names.json").exists())


@pytest.fixture(params=FOLDERS, ids=lambda path: str(path.name))
def folder(request: pytest.FixtureRequest) -> Path:
    """The files of each older version in turn."""
    return Path(request.param)


@pytest.fixture
def expected(folder: Path) -> dict[str, NDArray[Any]]:
    """What that version said of its files, with the instruction set in use."""
    path = folder / f"{st.build_info()['isa']}.npz"
    if not path.exists():
        pytest.skip(f"no bits were written for the instruction set {path.stem}")
    with np.load(path) as archive:
        return dict(archive)


def test_networks_and_checkpoints_go_on_to_the_same_bits(folder: Path, expected: dict[str, NDArray[Any]]) -> None:
    found = make.expected_outputs(folder)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        if name.startswith("estimator"):  # NumPy's sine, of dates, has other last bits on other machines
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            assert np.array_equal(found[name], values), name


@pytest.mark.parametrize("target", ["kind", "price"])
def test_the_command_reads_its_older_models(folder: Path, target: str, expected: dict[str, NDArray[Any]]) -> None:
    said = make.command("predict", folder / f"table-{target}.safetensors", folder / "rows.csv")
    found, wanted = (
        list(csv.reader(io.StringIO(text)))
        for text in (said, (folder / f"{st.build_info()['isa']}-{target}.csv").read_text())
    )
    assert found[0] == wanted[0] and len(found) == len(wanted) > 1
    assert [row[0] for row in found] == [row[0] for row in wanted]  # labels, or numbers to ten digits
    shares = [np.array([row[1:] for row in rows[1:]], np.float64) for rows in (found, wanted)]
    np.testing.assert_allclose(*shares, rtol=0, atol=1.1e-6)  # written with six digits


def test_public_names_are_still_there(folder: Path) -> None:
    for module, names in json.loads((folder / "names.json").read_text()).items():
        found = importlib.import_module(module)
        missing = [name for name in names if not hasattr(found, name)]
        assert not missing, f"{module} has no {missing}"
