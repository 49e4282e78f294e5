"""
A model for each group
======================

Three shops, and in each the price works another way. `st.fit_groups` trains a network for each, keeps all in one
object, and falls back to a model of all rows for a shop that it has never seen.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import steepest as st

random = np.random.default_rng(0)
shops = np.repeat(["north", "south", "west"], 150)
price = random.uniform(1, 3, 450)
sold = np.select([shops == "north", shops == "south"], [9 - 3 * price, 4 + np.sin(4 * price)], 1 + price**1.5)
sold += random.normal(0, 0.3, 450)
table = pd.DataFrame({"shop": shops, "price": price})

est = st.MLPRegressor(hidden_layer_sizes=(32, 32), activation="tanh", max_iter=300, random_state=0)
models = st.fit_groups(est, table, sold, by="shop")
print(models)

grid = np.linspace(1, 3, 60)
figure, axis = plt.subplots()
for color, shop in zip(("tab:blue", "tab:orange", "tab:green"), ("north", "south", "west"), strict=True):
    axis.scatter(price[shops == shop], sold[shops == shop], s=5, alpha=0.4, color=color)
    axis.plot(grid, models.predict(pd.DataFrame({"shop": shop, "price": grid})), color=color, label=shop)
axis.plot(
    grid, models.predict(pd.DataFrame({"shop": "a new one", "price": grid})), "--", color="0.4", label="a new one"
)
axis.set(xlabel="price", ylabel="sold")
axis.legend()
plt.show()
