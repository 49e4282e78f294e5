"""
Layers that take turns
======================

A step usually moves all layers at once. With `update_order` they move one after the other, each by the gradient at the
place to which the layers before it have moved; `Trainer.layer_costs` has the cost before and after each. A step in
turns takes about half as long again, and which order is best depends on the problem.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import steepest as st

x, y = load_digits(return_X_y=True)
x = x / 16

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
for order in ("together", "output_to_input", "input_to_output"):
    net = st.Network(64, [st.Dense(32, "relu"), st.Dense(32, "relu"), st.Dense(10)], seed=0)
    trainer = st.Trainer(net, "cross_entropy", st.SGD(0.3), update_order=order)
    trainer.step(x, y)
    if order == "output_to_input":
        costs = trainer.layer_costs
    history = trainer.fit(x, y, epochs=60, batch_size=len(x))
    left.semilogy(history["loss"], label=order)
left.set(xlabel="step on all rows", ylabel="training loss")
left.legend()
right.plot([costs[0][1], *(after for _, _, after in costs)], "o-")
right.set_xticks(range(4), ["before", *(f"layer {name}" for name, _, _ in costs)])
right.set_title("the first step, output to input")
plt.show()
