"""
A table with labels and gaps
============================

Text, dates, true and false, missing numbers: a data frame goes in as it is.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

import steepest as st

random = np.random.default_rng(0)
n = 1200
table = pd.DataFrame(
    {
        "size": random.gamma(4, 25, n).round(),
        "district": random.choice(["hill", "lake", "old town", "station"], n),
        "garden": random.random(n) < 0.4,
        "sold": pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 900, n), "D"),
        "floor": random.integers(0, 6, n).astype(float),
    }
)
worth = table["district"].map({"hill": 60, "lake": 90, "old town": 40, "station": 0})
price = 2.5 * table["size"] + worth + 30 * table["garden"] + 4 * table["floor"] + random.normal(0, 15, n)
table.loc[random.random(n) < 0.15, "size"] = np.nan
table.loc[random.random(n) < 0.1, "district"] = None
print(table.head())

# %%

train, test, y_train, y_test = train_test_split(table, price, random_state=0)
model = st.MLPRegressor(random_state=0).fit(train, y_train)
print(f"R2 {model.score(test, y_test):.2f}")
print(model.recipe_["in_words"])

# %%
# Which columns the model listens to: the score that is lost where one is shuffled.

lost = permutation_importance(model, test, y_test, n_repeats=5, random_state=0)
order = np.argsort(lost.importances_mean)
figure, axis = plt.subplots()
axis.barh(table.columns[order], lost.importances_mean[order], xerr=lost.importances_std[order])
axis.set_xlabel("R2 lost where the column is shuffled")
plt.show()
