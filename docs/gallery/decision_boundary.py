"""
Where a network draws the line
==============================

The same rows, and networks of one hidden layer with 1, 4 and 64 units. A unit is one bend: with too few the line cannot
follow the data.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_circles

import steepest as st

x, y = make_circles(500, noise=0.12, factor=0.4, random_state=0)
places = np.linspace(-1.6, 1.6, 120)
grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
for axis, units in zip(axes, (1, 4, 64), strict=True):
    net = st.Network(2, [st.Dense(units, "tanh"), st.Dense(2)], seed=0)
    trainer = st.Trainer(net, "cross_entropy", st.Adam(0.02))
    trainer.fit(x, y, epochs=120, batch_size=50)
    probability = trainer.predict(grid)[:, 1].reshape(120, 120)
    axis.contourf(places, places, probability, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.35)
    axis.contour(places, places, probability, levels=[0.5], colors="black", linewidths=1)
    axis.scatter(*x.T, c=y, s=6, cmap="RdBu_r")
    accuracy = trainer.evaluate(x, y)["accuracy"]
    axis.set(title=f"{units} unit{'s' * (units > 1)}: {accuracy:.0%}", aspect="equal")
plt.show()
