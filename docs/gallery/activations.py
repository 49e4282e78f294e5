"""
Activations and their slopes
============================

A network of one `Activation` is that function, and `backward` is its slope.
"""

import matplotlib.pyplot as plt
import numpy as np

import steepest as st

x = np.linspace(-4, 4, 400)[:, None]
names = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "sigmoid", "tanh")
figure, axes = plt.subplots(2, 5, figsize=(10, 4.4), sharex=True)
for axis, name in zip(axes.flat, names, strict=True):
    net = st.Network(1, [st.Activation(name)], dtype="float64")
    axis.plot(x, net.forward(x), label="value")
    axis.plot(x, net.backward(np.ones_like(x)), linewidth=1, label="slope")
    axis.set(title=name, ylim=(-1.9, 4.1))
axes[0, 0].legend(fontsize=9)
plt.show()
