"""
A picture in eight numbers
==========================

A network whose target is its own input, with a narrow layer in the middle: what passes it must be said in eight
numbers.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

x = (load_digits().data / 16).astype("float32")
layers = [st.Dense(64, "silu"), st.Dense(8), st.Dense(64, "silu"), st.Dense(64)]
net = st.Network(64, layers, seed=0)
trainer = st.Trainer(net, "mse", st.AdamW(st.schedules.cosine(0.005)))
trainer.fit(x[:1500], x[:1500], epochs=60)
found = trainer.predict(x[1500:])
print({name: round(value, 4) for name, value in trainer.evaluate(x[1500:], x[1500:]).items()})

figure, axes = plt.subplots(2, 10, figsize=(9, 2.2))
for column in range(10):
    for row, pictures in enumerate((x[1500:], found)):
        axes[row, column].imshow(pictures[column].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes[row, column].set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("input")
axes[1, 0].set_ylabel("output")
plt.show()
