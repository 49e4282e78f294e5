"""
Many networks at once
=====================

How much does the seed matter? Forty networks that differ in their first weights alone, trained together by
`st.fit_many`, on one copy of the rows.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

random = np.random.default_rng(0)
x = np.concatenate([random.uniform(-3, -1, (200, 1)), random.uniform(1, 3, (200, 1))]).astype(np.float32)
y = np.sin(2 * x) + 0.3 * random.normal(size=x.shape)

networks = [st.Network(1, [st.Dense(16, "tanh"), st.Dense(16, "tanh"), st.Dense(1)], seed=seed) for seed in range(40)]
trainers = [st.Trainer(network, "mse", st.Adam(0.01)) for network in networks]
histories = st.fit_many(trainers, x, y, epochs=60)

grid = np.linspace(-5, 5, 300)[:, None]
curves = np.stack([network.predict(grid)[:, 0] for network in networks])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
left.semilogy(np.stack([history["loss"] for history in histories]).T, color="tab:blue", alpha=0.25, linewidth=0.8)
left.set(xlabel="epoch", ylabel="training loss")
right.scatter(x, y, s=4, color="0.6")
right.plot(grid, curves.T, color="tab:blue", alpha=0.15, linewidth=0.8)
right.plot(grid, curves.mean(axis=0), color="tab:orange", label="their mean")
right.axvspan(-3, -1, color="0.95", zorder=0)
right.axvspan(1, 3, color="0.95", zorder=0)
right.set(xlabel="x", title="where no rows are, they differ", ylim=(-3, 3))
right.legend()
plt.show()
