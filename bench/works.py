"""What is measured: networks, batches and optimizers, and how much arithmetic and memory traffic each takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Weights = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Work:
    """One row of a table."""

    table: str  # "step", "infer" or "epoch"
    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    loss: str = "cross_entropy"
    optimizer: str = "sgd"  # "sgd", "momentum" or "adam"
    limit: str = "flops"  # what bounds it from below: "flops", "read", "update" or "call"

    @property
    def lr(self) -> float:
        """A rate at which the loss falls and nothing overflows."""
        return 1e-3 if self.optimizer == "adam" else 0.01

    @property
    def rows(self) -> int:
        """Rows of the data: a batch, or an epoch's worth."""
        return self.batch if self.table != "epoch" else self.batch * (2000 if self.batch == 1 else 100)

    @property
    def steps(self) -> int:
        """Steps, or inference calls, in one timed call."""
        return self.rows // self.batch

    @cached_property
    def n_weights(self) -> int:
        """Numbers in the weight matrices."""
        return sum(a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> float:
        """Multiplications and additions of the matrix products in a step or call."""
        products = 1 if self.table == "infer" else 3
        first = 0 if self.table == "infer" else self.sizes[0] * self.sizes[1]  # nobody needs the gradient of the input
        return 2.0 * self.batch * (products * self.n_weights - first)

    @property
    def bytes(self) -> float:
        """Traffic that no step avoids where the weights fit no cache: read them, and for an update their state too."""
        copies = {"infer": 1, "sgd": 3, "momentum": 5, "adam": 7}["infer" if self.table == "infer" else self.optimizer]
        return 4.0 * copies * self.n_weights

    def weights(self) -> Weights:
        """Return the weights that every peer starts from, He's for each layer."""
        rng = np.random.default_rng(0)
        return [
            ((rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32), np.zeros(b, np.float32))
            for a, b in zip(self.sizes, self.sizes[1:], strict=False)
        ]

    def data(self) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """Return the rows and targets that every peer works on."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        if self.loss == "cross_entropy":
            return x, rng.integers(0, self.sizes[-1], self.rows)
        return x, np.tanh(x[:, :1]) + 0.1 * rng.standard_normal((self.rows, self.sizes[-1]), dtype=np.float32)


WORKS = [
    Work("step", "tiny-online", (8, 32, 1), 1, "tanh", "mse", limit="call"),
    Work("step", "rl-policy", (4, 64, 64, 2), 32, "tanh", "mse", "adam"),
    Work("step", "digits", (64, 64, 10), 32),
    Work("step", "mnist-128", (784, 128, 10), 64),
    Work("step", "mnist-512x2", (784, 512, 512, 10), 128, optimizer="momentum"),
    Work("step", "tabular", (100, 256, 256, 256, 1), 256, loss="mse", optimizer="adam"),
    Work("step", "wide-compute", (1024, 2048, 2048, 1000), 1024, optimizer="momentum"),
    Work("step", "wide-memory", (4096, 4096, 4096), 16, loss="mse", optimizer="momentum", limit="update"),
    Work("infer", "tiny", (8, 32, 1), 1, "tanh", "mse", limit="call"),
    Work("infer", "mnist", (784, 128, 10), 1),
    Work("infer", "mnist-512x2", (784, 512, 512, 10), 1024),
    Work("infer", "wide", (4096, 4096, 4096), 1, loss="mse", limit="read"),
    Work("epoch", "tiny", (8, 32, 1), 1, "tanh", "mse", limit="call"),
    Work("epoch", "rl-policy", (4, 64, 64, 2), 32, "tanh", "mse", "adam"),
    Work("epoch", "digits", (64, 64, 10), 32),
    Work("epoch", "mnist-128", (784, 128, 10), 64),
    Work("epoch", "tabular", (100, 256, 256, 256, 1), 256, loss="mse", optimizer="adam"),
]
