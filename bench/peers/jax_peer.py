"""JAX: one jitted function with donated buffers; an epoch is a single lax.scan."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from works import Work


class Peer:
    def __init__(self, work: Work, threads: int) -> None:
        act = {"relu": jax.nn.relu, "tanh": jnp.tanh}[work.activation]
        optimizer = {
            "sgd": optax.sgd(work.lr),
            "momentum": optax.sgd(work.lr, momentum=0.9),
            "adam": optax.adam(work.lr),
        }[work.optimizer]

        def forward(parameters, x):
            for w, b in parameters[:-1]:
                x = act(x @ w + b)
            w, b = parameters[-1]
            return x @ w + b

        def loss(parameters, x, y):
            out = forward(parameters, x)
            if work.loss == "cross_entropy":
                return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()
            return ((out - y) ** 2).mean()

        def step(parameters, state, x, y):
            gradients = jax.grad(loss)(parameters, x, y)
            updates, state = optimizer.update(gradients, state, parameters)
            return optax.apply_updates(parameters, updates), state

        def epoch(parameters, state, key, x, y):
            key, sub = jax.random.split(key)
            order = jax.random.permutation(sub, work.rows).reshape(-1, work.batch)
            carry, _ = jax.lax.scan(lambda c, rows: (step(*c, x[rows], y[rows]), None), (parameters, state), order)
            return (*carry, key)

        self.jit_forward = jax.jit(forward)
        self.jit_step = partial(jax.jit, donate_argnums=(0, 1))(step)
        self.jit_epoch = partial(jax.jit, donate_argnums=(0, 1, 2))(epoch)
        self.parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in work.weights()]
        self.state = optimizer.init(self.parameters)
        self.key = jax.random.key(0)
        x, y = work.data()
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        self.batch = work.batch

    def step(self) -> None:
        self.parameters, self.state = self.jit_step(self.parameters, self.state, self.x, self.y)
        jax.block_until_ready(self.parameters)

    def infer(self) -> None:
        self.jit_forward(self.parameters, self.x).block_until_ready()

    def epoch(self) -> None:
        self.parameters, self.state, self.key = self.jit_epoch(self.parameters, self.state, self.key, self.x, self.y)
        jax.block_until_ready(self.parameters)

    def outputs(self):
        return np.asarray(self.jit_forward(self.parameters, self.x[: self.batch]))
