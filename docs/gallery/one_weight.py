"""
The cost along one weight
=========================

`st.descent.contributions` finds the weight whose derivative is largest, and `st.descent.slope` follows it through its
values while all others stay: before training, and after.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

x, y = load_digits(return_X_y=True)
train = x[:1500] / 16, y[:1500]
net = st.Network(64, [st.Dense(32, "relu"), st.Dense(32, "relu"), st.Dense(10)], seed=0, dtype="float64")
trainer = st.Trainer(net, "cross_entropy", st.SGD(0.1))

found = st.descent.contributions(net, *train, trainer)
weight = found.largest(1)[0]
print(found)
before = st.descent.slope(net, *train, trainer, weight.name, weight.index, span=3)

trainer.fit(*train, epochs=20)
after = st.descent.slope(net, *train, trainer, weight.name, weight.index, span=3)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8))
for axis, curve, title in zip(axes, (before, after), ("before training", "after 20 epochs"), strict=True):
    curve.plot(axis)
    axis.set_title(title)
plt.show()
