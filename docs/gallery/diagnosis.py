"""
A network that does not learn
=============================

Columns of sizes from 0.1 to 1,000, and a rate that suits none of them: the cost stays where it is.
`st.descent.diagnose` says why.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine

import steepest as st

x, y = load_wine(return_X_y=True)


def trained(rows):
    net = st.Network(13, [st.Dense(32, "relu"), st.Dense(3)], seed=0)
    recorder = st.descent.Recorder(every=1)
    trainer = st.Trainer(net, "cross_entropy", st.SGD(0.1))
    history = trainer.fit(rows, y, epochs=30, callbacks=[recorder])
    return history, recorder


history, recorder = trained(x)
print(st.descent.diagnose(recorder))

# %%
# The first finding says what to do: scale the columns. The estimators do that by themselves; a network of your own
# takes the rows as they are.

scaled, after = trained((x - x.mean(axis=0)) / x.std(axis=0))
print(st.descent.diagnose(after))

figure, axis = plt.subplots()
axis.plot(history["loss"], label="columns as they are")
axis.plot(scaled["loss"], label="scaled")
axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, 2))
axis.legend()
plt.show()

# %%
# The recorder draws what it saw in each layer.

after.plot()
plt.show()
