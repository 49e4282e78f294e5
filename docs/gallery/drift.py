"""
Rows that keep coming
=====================

The law behind the rows changes half-way, and the size of a column with it. A model that is fitted once is left behind;
one that goes on by `partial_fit` follows.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

random = np.random.default_rng(0)


def batch(i):
    x = random.normal(size=(50, 3)) * (1.0 if i < 40 else 5.0)
    slope = 1.0 if i < 40 else -0.4
    return x, slope * x[:, 0] + np.abs(x[:, 1]) + 0.1 * random.normal(size=50)


frozen = st.MLPRegressor(hidden_layer_sizes=(32,), learning_rate_init=0.01, random_state=0)
online = st.MLPRegressor(hidden_layer_sizes=(32,), learning_rate_init=0.01, random_state=0)
errors = []
for i in range(100):
    x, y = batch(i)
    if i:  # measured before it learns from these rows
        errors.append([float(np.mean((model.predict(x) - y) ** 2) / np.var(y)) for model in (frozen, online)])
    if i < 20:
        frozen.partial_fit(x, y)
    online.partial_fit(x, y)

figure, axis = plt.subplots()
axis.semilogy(errors, label=["learned from the first 20 batches", "goes on learning"])
axis.axvline(39, color="0.7", linewidth=1)
axis.set(xlabel="batch", ylabel="squared error over the variance", ylim=(0.006, 20))
axis.legend(loc="lower left")
plt.show()
