"""The diagnosis: all checks, and the causes before their effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._arrays import as_array
from ...network import Network
from ...training import LOSSES, Trainer
from .._cost import Cost
from .._recorder import Recorder
from .course import find_in_course, find_underfitting
from .data import find_in_data
from .evidence import Evidence, Finding
from .units import find_in_units

HOPELESS = ("loss_misfit", "constant_target")  # if errors: a training on such targets cannot be judged


class Diagnosis(list[Finding]):
    """The findings, the most important first; printed, one a paragraph.

    Parameters
    ----------
    iterable : iterable of Finding, default=()
        The findings, in their order.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0)
    >>> found = st.descent.diagnose(net, [[0, 1000], [1, 3000], [0, -2000], [1, 500]], [0, 1, 0, 1], "mse")
    >>> [finding.code for finding in found]
    ['loss_misfit', 'unscaled_inputs', 'saturated_units']
    """

    def __str__(self) -> str:
        """Return the findings, or that there are none."""
        return "\n".join(f"{i}. {finding}" for i, finding in enumerate(self, 1)) or "nothing amiss was found"


def diagnose(
    subject: Network | Recorder,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    loss: str | Trainer | None = None,
    *,
    history: Mapping[str, NDArray[np.float64]] | None = None,
) -> Diagnosis:
    """Find faults in a network, its data or its training, each with its remedy.

    Parameters
    ----------
    subject : Network or Recorder
        The recorder of a training knows most: rows, loss, history, and each layer from the start. A network alone is
        judged as it is now.
    x : array of shape (n, n_in), default=None
        Rows, n >= 1, of which 4,096 are looked at, drawn once; None takes the recorder's training rows.
    y : array of shape (n,) or (n, n_out), default=None
        Their targets, as for `Trainer`; None takes the recorder's.
    loss : str or Trainer, default=None
        The loss by name, or a trainer whose loss it is; None takes the recorder's. A function of the user's own has no
        rules to be judged by.
    history : mapping of str to array of shape (epochs,), default=None
        The `History` of the training; None takes the recorder's. Without any, rates and overfitting are not judged.

    Returns
    -------
    Diagnosis
        A list of `Finding`, causes before what they bring about; empty where nothing is amiss.

    Raises
    ------
    TypeError
        If `subject` is neither a network nor a recorder.
    ValueError
        If the recorder was given to no fit, rows, targets or loss are missing, the loss is unknown, or x and y do not
        fit the network or each other.

    Notes
    -----
    Weights of rows are left aside. The codes: loss_misfit, constant_target, leaking_feature, output_range,
    unscaled_inputs, unscaled_targets, exploding_gradients, vanishing_gradients, dead_units, saturated_units,
    rate_too_high, rate_too_low, majority_only, overfitting, and, where none of these was found, underfitting. Each
    threshold stands beside its check, with the reason for it.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_wine
    >>> x, y = load_wine(return_X_y=True)  # columns of sizes from 0.1 to 1,000
    >>> net = st.Network(13, [st.Dense(8, "relu"), st.Dense(3)], seed=0)
    >>> st.descent.diagnose(net, x, y, "cross_entropy")[0].code
    'unscaled_inputs'
    """
    return examine(_gather(subject, x, y, loss, history))


def examine(evidence: Evidence) -> Diagnosis:
    """Return all findings about this evidence."""
    findings = find_in_data(evidence)
    if not any(finding.code in HOPELESS and finding.severity == "error" for finding in findings):
        if evidence.finite:
            findings += find_in_units(evidence)
        findings += find_in_course(evidence)
        # All the others end in it: it is worth saying where it is all there is to say.
        if not findings and (finding := find_underfitting(evidence)):
            findings.append(finding)
    return Diagnosis(sorted(findings, key=lambda finding: finding.rank))


def _gather(subject: Any, x: Any, y: Any, loss: Any, history: Any) -> Evidence:
    """Check the arguments of `diagnose`, and fill in the recorder's."""
    recorder = subject if isinstance(subject, Recorder) else None
    if recorder is not None:
        if recorder.fit is None:
            raise ValueError("the recorder has no records: expected one that was given to Trainer.fit")
        network = recorder.fit.trainer.network
        if x is None and y is None and recorder.fit.data is not None:
            x, y = recorder.fit.data[:2]
        loss = recorder.fit.trainer if loss is None else loss
        history = recorder.fit.history if history is None else history
    elif isinstance(subject, Network):
        network = subject
    else:
        raise TypeError(f"subject is {subject!r}: expected a steepest.Network or a Recorder")
    for name, value in (("x", x), ("y", y), ("loss", loss)):
        if value is None:
            raise ValueError(f"{name} is missing: expected diagnose(network, x, y, loss), or a Recorder")
    x, y = as_array("x", x), as_array("y", y)
    if x.ndim != 2 or x.shape[1] != network.n_in or not len(x):
        raise ValueError(f"x has the shape {x.shape}: expected (n, {network.n_in}), n >= 1")
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(f"y has the shape {y.shape}: expected ({len(x)},) or ({len(x)}, {network.n_out})")
    cost = Cost.of(loss)
    if not isinstance(cost.loss, str):
        raise ValueError(f"loss is the function {cost.loss.name}: expected one with rules: {', '.join(LOSSES)}")
    return Evidence(
        network, cost, x, y, {} if history is None else history, recorder, recorder is not None and recorder.moved_on
    )
