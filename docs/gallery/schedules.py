"""
Learning rates that change
==========================

A schedule is a function of the step, and can be drawn before anything is trained.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

steps = range(500)
ways = {
    "constant(0.1)": st.schedules.constant(0.1),
    "step(0.1, every=150, factor=0.3)": st.schedules.step(0.1, every=150, factor=0.3),
    "exponential(0.1, every=150, factor=0.3)": st.schedules.exponential(0.1, every=150, factor=0.3),
    "cosine(0.1, total=500, warmup=50)": st.schedules.cosine(0.1, total=500, warmup=50),
    "one_cycle(0.1, total=500)": st.schedules.one_cycle(0.1, total=500),
}
figure, axis = plt.subplots()
for name, schedule in ways.items():
    axis.plot(steps, [schedule(step) for step in steps], label=name)
axis.set(xlabel="step", ylabel="learning rate", ylim=(0, 0.19))
axis.legend(fontsize=9, loc="upper right")
plt.show()

# %%
# Without ``total``, ``cosine`` and ``one_cycle`` fit themselves to the steps of a fit. A rate that ends near zero lets
# the weights settle:

x, y = load_digits(return_X_y=True)
for rate in (0.1, st.schedules.cosine(0.1)):
    net = st.Network(64, [st.Dense(64, "relu"), st.Dense(10)], seed=0)
    trainer = st.Trainer(net, "cross_entropy", st.SGD(rate, momentum=0.9))
    trainer.fit(x[:1200] / 16, y[:1200], epochs=15)
    print(rate, {name: round(value, 3) for name, value in trainer.evaluate(x[1200:] / 16, y[1200:]).items()})
