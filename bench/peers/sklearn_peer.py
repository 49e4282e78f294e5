"""scikit-learn's MLPClassifier and MLPRegressor."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from works import Work


class Peer:
    def __init__(self, work: Work, threads: int) -> None:
        warnings.filterwarnings("ignore")  # an epoch at a time never converges
        classifies = work.loss == "cross_entropy"
        kind = MLPClassifier if classifies else MLPRegressor
        # Its squared error has the gradient of half the sum over the outputs, where ours has that of their mean.
        scale = 1 if classifies or work.optimizer == "adam" else 2 / work.sizes[-1]
        self.model = kind(
            hidden_layer_sizes=work.sizes[1:-1],
            activation=work.activation,
            solver="adam" if work.optimizer == "adam" else "sgd",
            alpha=0,
            batch_size=work.batch,
            learning_rate_init=work.lr * scale,
            momentum=0.9 if work.optimizer == "momentum" else 0,
            nesterovs_momentum=False,
            max_iter=1,
            n_iter_no_change=10**9,
        )
        self.x, self.y = work.data()
        if not classifies and work.sizes[-1] == 1:
            self.y = self.y[:, 0]
        self.work, self.classes = work, np.arange(work.sizes[-1])
        self.step()  # makes the arrays; then they start where the others do
        for (w, b), own_w, own_b in zip(work.weights(), self.model.coefs_, self.model.intercepts_, strict=True):
            own_w[...], own_b[...] = w, b
        state = self.model._optimizer
        for name in ("velocities", "ms", "vs"):
            for array in getattr(state, name, ()):
                array[...] = 0
        state.t = 0
        self.model.set_params(warm_start=work.table == "epoch")  # each fit is one more epoch

    def step(self) -> None:
        n = self.work.batch
        if self.work.loss == "cross_entropy":
            self.model.partial_fit(self.x[:n], self.y[:n], classes=self.classes)
        else:
            self.model.partial_fit(self.x[:n], self.y[:n])

    def infer(self) -> None:
        if self.work.loss == "cross_entropy":
            self.model.predict_proba(self.x)
        else:
            self.model.predict(self.x)

    def epoch(self) -> None:
        self.model.fit(self.x, self.y)

    def outputs(self):
        own, self.model.out_activation_ = self.model.out_activation_, "identity"  # logits, as the others give
        result = self.model._forward_pass_fast(self.x[: self.work.batch], check_input=False)
        self.model.out_activation_ = own
        return result
