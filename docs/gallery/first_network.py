"""
A first network
===============

Two half moons cannot be told apart by a straight line. A network with one hidden layer learns to, in a fraction of a
second.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

import steepest as st

x, y = make_moons(600, noise=0.2, random_state=0)
net = st.Network(2, [st.Dense(32, "relu"), st.Dense(2)], seed=0)
trainer = st.Trainer(net, "cross_entropy", st.Adam(0.01))
history = trainer.fit(x[:400], y[:400], epochs=40, validation=(x[400:], y[400:]))
print(net)
print(history)

# %%
# `history` holds a number for each epoch, and draws its own curves. The losses of rows that the network never trained
# on are those that count.

history.plot()
plt.show()

# %%
# `predict` returns probabilities: one column for each class.

print(trainer.predict(x[400:403]).round(3), y[400:403])
