"""Model files of every kind, read back as what was saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._extras import require
from ._model_file import read_model
from .network import Network
from .network import from_file as network_from_file

if TYPE_CHECKING:
    from .estimators import MLPClassifier, MLPRegressor
    from .selection import GroupModels


def load(path: str | os.PathLike[str]) -> Network | MLPClassifier | MLPRegressor | GroupModels:
    """Read a model: a network, a whole estimator, or models of groups. Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or path
        A safetensors file that `Network.save`, `Trainer.save`, `MLPClassifier.save`, `MLPRegressor.save`,
        `GroupModels.save` or `steepest train` wrote, with this version or an older one.

    Returns
    -------
    Network, MLPClassifier, MLPRegressor or GroupModels
        The model that was saved; of a trainer's checkpoint, or of a model that `steepest train` of 0.1 wrote, the
        network.

    Raises
    ------
    ValueError
        If the file is damaged, is no model of this package, or was written by a newer version of it.
    ImportError
        If it holds an estimator, and scikit-learn is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(4, [st.Dense(16, "relu"), st.Dense(3)], seed=0)
    >>> net.save("net.safetensors")
    >>> again = st.load("net.safetensors")
    >>> (again.predict([[1, 2, 3, 4]]) == net.predict([[1, 2, 3, 4]])).all().item()
    True
    """
    tensors, metadata = read_model(path)
    if "groups" in metadata:
        require("sklearn", "scikit-learn", f"{path}: models of groups")
        from .selection._group_loading import from_file as groups_from_file

        return groups_from_file(path, tensors, metadata)
    if "estimator" not in metadata:
        return network_from_file(path, tensors, metadata)
    require("sklearn", "scikit-learn", f"{path}: an estimator")
    from .estimators._loading import from_file

    return from_file(path, tensors, metadata)
