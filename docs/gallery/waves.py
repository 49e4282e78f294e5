"""
Numbers that are embedded
=========================

A target that goes up and down many times along one column. Dense layers alone learn the slow part first, and the waves
late or not at all; `PeriodicEmbedding` puts learned sines and cosines of the column beside it.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

random = np.random.default_rng(0)
x = random.uniform(-2, 2, (1500, 1))
y = np.sin(12 * x) + 0.5 * x + 0.1 * random.normal(size=x.shape)
grid = np.linspace(-2, 2, 500)[:, None]

ways = {
    "dense layers alone": [],
    "PeriodicEmbedding(16, 8)": [st.PeriodicEmbedding(16, 8, sigma=2.0)],
    "PiecewiseLinearEmbedding(32, 8)": [st.PiecewiseLinearEmbedding(32, 8)],
}
figure, axes = plt.subplots(3, 1, figsize=(8, 6), sharex=True)
for axis, (name, first) in zip(axes, ways.items(), strict=True):
    net = st.Network(1, [*first, st.Dense(64, "relu"), st.Dense(1)], seed=0)
    if "0.edges" in net.buffers:
        net.set_parameters({"0.edges": st.PiecewiseLinearEmbedding.edges_of(x, 32)})
    trainer = st.Trainer(net, "mse", st.Adam(st.schedules.cosine(0.01)))
    trainer.fit(x, y, epochs=40)
    axis.scatter(x, y, s=2, color="0.7")
    axis.plot(grid, net.predict(grid), color="tab:blue")
    axis.set_title(f"{name}: R2 {trainer.evaluate(x, y)['r2']:.2f}", fontsize=11)
plt.show()
