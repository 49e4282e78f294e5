"""
The landscape of the cost
=========================

A network has a cost for each setting of its weights. `st.descent.surface` computes it over a plane: here the two
directions in which the weights moved furthest, with the path that they took.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

x, y = load_digits(return_X_y=True)
x, y = x[:600] / 16, y[:600]

net = st.Network(64, [st.Dense(16, "relu"), st.Dense(10)], seed=0)
trainer = st.Trainer(net, "cross_entropy", st.SGD(0.1, momentum=0.9))
recorder = st.descent.Recorder(every=1)
trainer.fit(x, y, epochs=12, callbacks=[recorder])

plane = st.descent.surface(net, x, y, trainer, "pca", recorder, steps=25)
figure, axis = plt.subplots(figsize=(7, 5))
plane.plot(axis)
plt.show()

# %%
# The same as a picture in three dimensions.

figure = plt.figure(figsize=(7, 5))
axis = figure.add_subplot(projection="3d")
axis.plot_wireframe(plane.a[None, :], plane.b[:, None], plane.costs, linewidth=0.5, color="0.5")
axis.plot(*plane.path.T, plane.path_costs, "o-", color="tab:orange", markersize=3)
axis.set(xlabel="first direction", ylabel="second direction", zlabel="cost")
plt.show()
