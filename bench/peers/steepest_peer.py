"""This project."""

from __future__ import annotations

from functools import partial

import numpy as np

import steepest as st
from works import Work


class Peer:
    def __init__(self, work: Work, threads: int) -> None:
        st.set_num_threads(threads)
        weights = work.weights()
        layers: list[st.Dense] = [st.Dense(w.shape[1], work.activation) for w, _ in weights[:-1]]
        self.net = st.Network(work.sizes[0], [*layers, st.Dense(work.sizes[-1])])
        self.net.set_parameters(
            {
                f"{i}.{name}": array
                for i, pair in enumerate(weights)
                for name, array in zip(("weight", "bias"), pair, strict=True)
            }
        )
        optimizer = {
            "sgd": st.SGD(work.lr),
            "momentum": st.SGD(work.lr, momentum=0.9),
            "adam": st.Adam(work.lr),
        }[work.optimizer]
        self.trainer = st.Trainer(self.net, work.loss, optimizer)
        self.x, self.y = work.data()
        self.batch = work.batch
        self.step = partial(self.trainer.step, self.x, self.y)
        self.infer = partial(self.net.predict, self.x, np.empty((len(self.x), work.sizes[-1]), np.float32))
        self.epoch = partial(self.trainer.fit, self.x, self.y, epochs=1, batch_size=work.batch)

    def outputs(self):
        return self.net.predict(self.x[: self.batch])
