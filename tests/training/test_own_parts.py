"""What a user writes to a network or a trainer, or derives from its parts, is heard or refused: never lost unseen."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal


class OwnDense(st.Dense):
    """A layer that would compute something else."""

    def forward(self, x: Any) -> Any:
        raise AssertionError


class OwnDropout(st.Dropout):
    """A layer with nothing of its own."""


class OwnAdam(st.Adam):
    """An optimizer that would move otherwise."""

    def step(self, gradients: Any) -> Any:
        raise AssertionError


class OwnForward(st.Network):
    """A network that computes twice its outputs."""

    def forward(self, x: Any) -> Any:
        return 2 * super().forward(x)


def network() -> st.Network:
    return st.Network(2, [st.Dense(3, "tanh"), st.Dense(1)], seed=0)


def test_r26_a_layer_of_ones_own_is_refused() -> None:
    for layers, place in (([OwnDense(3)], 0), ([st.Dense(2), OwnDropout(0.5)], 1)):
        with pytest.raises(
            TypeError, match=rf"layers\[{place}\] is a Own(Dense|Dropout), a subclass of (Dense|Dropout): "
        ):
            st.Network(2, layers)
    with pytest.raises(TypeError, match=r"layers\[0\] is a OwnDense"):
        st.Residual([OwnDense(2)])


def test_r26_an_optimizer_of_ones_own_is_refused() -> None:
    with pytest.raises(TypeError, match="optimizer is a OwnAdam: expected one of SGD, Adam, AdamW, RMSprop itself"):
        st.Trainer(network(), "mse", OwnAdam(0.1))
    with pytest.raises(TypeError, match="optimizer is a OwnAdam"):
        st.MLPRegressor(optimizer=OwnAdam(0.1)).fit(normal(0, (20, 2)), normal(1, (20,)))


def test_r26_a_network_whose_forward_no_step_would_call_is_refused() -> None:
    net = OwnForward(2, [st.Dense(1)], seed=0)
    np.testing.assert_array_equal(net.forward(np.eye(2)), 2 * st.Network(2, [st.Dense(1)], seed=0).forward(np.eye(2)))
    with pytest.raises(TypeError, match="network is a OwnForward with a forward of its own"):
        st.Trainer(net, "mse")


@pytest.mark.parametrize("name", ["metadata", "learning_rate", "predict", "n_outputs", "preprocesing"])
def test_r26_attributes_that_a_network_would_lose_are_refused(name: str) -> None:
    net = network()
    with pytest.raises(AttributeError, match=f"^{name} cannot be set: expected preprocessing"):
        setattr(net, name, {"a": 1})
    for read_only in ("seed", "layers", "parameters"):
        with pytest.raises(AttributeError):
            setattr(net, read_only, None)


def test_r26_what_can_be_set_is_saved_and_copied(tmp_path: Path) -> None:
    net = network()
    net.preprocessing = {"note": "kept"}
    net.save(tmp_path / "net")
    for other in (st.load(tmp_path / "net"), net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.preprocessing == {"note": "kept"}


@pytest.mark.parametrize("name", ["metadata", "optimizer", "loss", "lr", "network", "seed", "step"])
def test_r26_attributes_that_a_trainer_would_not_hear_of_are_refused(name: str) -> None:
    trainer = st.Trainer(network(), "mse")
    before = repr(trainer)
    with pytest.raises(AttributeError, match=f"^{name} cannot be set: expected learning_rate"):
        setattr(trainer, name, st.SGD(0.1))
    assert repr(trainer) == before
    trainer.learning_rate = 0.5
    assert trainer.learning_rate == 0.5


def test_r26_a_subclass_may_hold_what_it_wants() -> None:
    class Named(st.Network):
        name = "mine"

    net = Named(2, [st.Dense(1)])
    net.name = "other"
    assert net.name == "other"


def test_r26_layers_and_optimizers_are_frozen() -> None:
    for value in (st.Dense(3), st.Dropout(0.1), st.SGD(0.1), st.schedules.cosine(0.1)):
        with pytest.raises(AttributeError):
            value.note = 1  # type: ignore[union-attr]
