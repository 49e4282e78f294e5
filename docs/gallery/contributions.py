"""
Which weights are to blame
==========================

The gradient says how fast the cost changes with each weight. Seen at the input, it shows which points of a picture a
network learns from; seen by layer, which layers learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import steepest as st

x, y = load_digits(return_X_y=True)
x = x / 16
net = st.Network(64, [st.Dense(48, "relu"), st.Dense(32, "relu"), st.Dense(16, "relu"), st.Dense(10)], seed=0)

shares, pictures = [], []
trainer = st.Trainer(net, "cross_entropy", st.Adam(0.002))
for epochs in (0, 1, 10):
    if epochs:
        trainer.fit(x, y, epochs=epochs)
    found = st.descent.contributions(net, x, y, trainer)
    shares.append([layer.share for layer in found.layers])
    pictures.append(np.abs(found.gradients["0.weight"]).mean(axis=1).reshape(8, 8))

figure, axes = plt.subplots(1, 4, figsize=(10, 3), width_ratios=(1, 1, 1, 1.4))
for axis, picture, title in zip(axes, pictures, ("at first", "1 epoch", "11 epochs"), strict=False):
    axis.imshow(picture, cmap="magma")
    axis.set(title=title, xticks=[], yticks=[])
places = np.arange(4)
for i, (part, title) in enumerate(zip(shares, ("at first", "1 epoch", "11 epochs"), strict=True)):
    axes[3].bar(places + 0.27 * (i - 1), part, 0.27, label=title)
axes[3].set(xticks=places, xlabel="layer", title="share of the gradient", ylim=(0, 0.55))
axes[3].legend(fontsize=8)
plt.show()
