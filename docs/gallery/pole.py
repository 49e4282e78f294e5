"""
Gradients of your own: policy search
====================================

A loss that no library has: the return of a game. `forward` gives the network's outputs, `backward` takes the derivative
by them, and `Trainer.apply` makes one step of the optimizer of the gradients.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

random = np.random.default_rng(0)
net = st.Network(2, [st.Dense(16, "tanh"), st.Dense(1)], seed=0)
trainer = st.Trainer(net, "mse", st.Adam(0.02))


def games(n=32, steps=30):
    """Push a cart on a line, to the left or to the right, so that it stays at 0; reward is nearness."""
    state = random.normal(size=(n, 2))
    seen, pushed, near = [], [], []
    for _ in range(steps):
        right = random.random(n) < 1 / (1 + np.exp(-net.predict(state)[:, 0]))
        seen.append(state.copy())
        pushed.append(right)
        state[:, 1] += 0.3 * np.where(right, 1, -1)
        state[:, 0] += 0.3 * state[:, 1]
        near.append(-np.abs(state[:, 0]))
    still_to_come = np.cumsum(np.array(near)[::-1], axis=0)[::-1]
    return np.concatenate(seen), np.concatenate(pushed), still_to_come, np.mean(near)


means = []
for _ in range(120):
    states, pushed, still_to_come, mean = games()
    advantage = ((still_to_come - still_to_come.mean(axis=1, keepdims=True)) / still_to_come.std()).ravel()
    outputs = net.forward(states)
    probability = 1 / (1 + np.exp(-outputs[:, 0]))
    net.backward((advantage * (probability - pushed) / len(states))[:, None])
    trainer.apply(net.gradients)
    means.append(-mean)

figure, axis = plt.subplots()
axis.plot(means)
axis.set(xlabel="update", ylabel="mean distance from 0")
plt.show()
