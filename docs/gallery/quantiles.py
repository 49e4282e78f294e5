"""
How sure is a prediction?
=========================

The loss "quantile" predicts a quantile in place of the mean. Three models, for 5%, 50% and 95%, make a band that should
hold nine rows of ten.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

random = np.random.default_rng(0)
x = np.sort(random.uniform(-3, 3, 1500))
y = np.sin(x) + random.normal(0, 0.1 + 0.15 * np.abs(x))

curves = {}
for quantile in (0.05, 0.5, 0.95):
    model = st.MLPRegressor(loss="quantile", quantile=quantile, random_state=0)
    curves[quantile] = model.fit(x[:, None], y).predict(x[:, None])

within = np.mean((y >= curves[0.05]) & (y <= curves[0.95]))
figure, axis = plt.subplots()
axis.scatter(x, y, s=4, color="0.6")
axis.plot(x, curves[0.5], color="tab:blue", label="median")
axis.fill_between(x, curves[0.05], curves[0.95], alpha=0.25, label=f"5% to 95%: {within:.0%} of the rows")
axis.set(xlabel="x", ylabel="y")
axis.legend()
plt.show()
