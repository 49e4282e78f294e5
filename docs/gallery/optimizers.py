"""
Optimizers on the same network
==============================

Four optimizers, the same first weights and the same order of rows. The rates are common ones; another rate may change
the order, so try some.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

x, y = load_digits(return_X_y=True)
x = x / 16

ways = {
    "SGD(0.05)": st.SGD(0.05),
    "SGD(0.05, momentum=0.9)": st.SGD(0.05, momentum=0.9),
    "RMSprop(0.001)": st.RMSprop(0.001),
    "Adam(0.001)": st.Adam(0.001),
}
figure, axis = plt.subplots()
for name, optimizer in ways.items():
    net = st.Network(64, [st.Dense(64, "relu"), st.Dense(10)], seed=0)
    history = st.Trainer(net, "cross_entropy", optimizer).fit(x, y, epochs=25)
    axis.semilogy(history["loss"], label=name)
axis.set(xlabel="epoch", ylabel="training loss")
axis.legend()
plt.show()
