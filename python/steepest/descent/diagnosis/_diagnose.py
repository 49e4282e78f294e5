"""Why a network does not learn, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...network import Network
from ...training import Trainer
from .._cost import Cost
from .._recorder import Recorder
from .course import find_in_course, find_underfitting
from .data import find_in_data
from .evidence import Evidence, Finding
from .units import find_in_units

HOPELESS = ("loss_misfit", "constant_target")  # as errors: no training on such targets can be judged


class Diagnosis(list[Finding]):
    """The findings, the most important first; printed, one a paragraph."""

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
    """Say what is wrong with a network, its data or its training, and what to do.

    Parameters
    ----------
    subject : Network or Recorder
        The recorder of a training knows most: rows, loss, history, and each layer from the start. Of a network alone,
        what it is now is judged.
    x, y : arrays, optional
        Rows and targets, as for `Trainer`; by default the recorder's training rows. 4,096 of them are looked
        at, drawn once.
    loss : str or Trainer, optional
        The loss by name, or a trainer whose loss it is; by default the recorder's.
    history : History, optional
        Of the training; by default the recorder's. Without it, rates and overfitting are not judged.

    Returns
    -------
    Diagnosis
        A list of `Finding`, causes before what they bring about; empty where nothing is amiss.

    Raises
    ------
    ValueError
        If rows or loss are missing, or the rows are not the network's.

    Notes
    -----
    Weights of rows are left aside. The codes: loss_misfit, constant_target, leaking_feature, output_range,
    unscaled_inputs, unscaled_targets, exploding_gradients, vanishing_gradients, dead_units, saturated_units,
    rate_too_high, rate_too_low, majority_only, overfitting, and, where none of these was found, underfitting. Each
    threshold stands beside its check, with the reason for it.
    """
    evidence = _evidence(subject, x, y, loss, history)
    findings = find_in_data(evidence)
    if not any(finding.code in HOPELESS and finding.severity == "error" for finding in findings):
        if evidence.finite:
            findings += find_in_units(evidence)
        findings += find_in_course(evidence)
        # All the others end in it: it is worth saying where it is all there is to say.
        if not findings and (finding := find_underfitting(evidence)):
            findings.append(finding)
    return Diagnosis(sorted(findings, key=lambda finding: finding.rank))


def _evidence(subject: Any, x: Any, y: Any, loss: Any, history: Any) -> Evidence:
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
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != network.n_in or not len(x):
        raise ValueError(f"x has the shape {x.shape}: expected (n, {network.n_in}), n >= 1")
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(f"y has the shape {y.shape}: expected ({len(x)},) or ({len(x)}, {network.n_out})")
    return Evidence(network, Cost.of(loss), x, y, {} if history is None else history, recorder)
