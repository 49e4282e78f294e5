"""
Stop when it gets worse
=======================

A large network on few rows learns these by heart. Rows held out tell when: `EarlyStopping` then ends the fit, and the
network has the weights of its best epoch.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import steepest as st

x, y = load_diabetes(return_X_y=True)
x, y = scale(x), scale(y)
train, held_out = (x[:300], y[:300]), (x[300:], y[300:])

net = st.Network(10, [st.Dense(128, "relu"), st.Dense(128, "relu"), st.Dense(1)], seed=0)
trainer = st.Trainer(net, "mse", st.Adam(0.001))
history = trainer.fit(*train, epochs=200, validation=held_out, callbacks=[st.EarlyStopping(patience=20)])
history.plot()
plt.show()

# %%

print(f"{history.n_epochs} epochs, and the weights of epoch {history.best_epoch}")
print({name: round(value, 3) for name, value in trainer.evaluate(*held_out).items()})
