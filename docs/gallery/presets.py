"""
From a first look to the last percent
=====================================

``preset="fast"`` trains two networks on a table of this size, no preset five and ``preset="best"`` fifteen. Each is
measured on three folds that it was not trained on.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes

import steepest as st

x, y = load_diabetes(return_X_y=True)
scores = {}
for preset in ("fast", None, "best"):
    scores[str(preset)] = st.cross_validate(st.MLPRegressor(preset=preset, random_state=0), x, y, cv=3)["test_score"]

figure, axis = plt.subplots()
for place, folds in enumerate(scores.values()):
    axis.plot([place] * 3, folds, "o", color="0.6", markersize=4)
    axis.plot(place, folds.mean(), "_", markersize=40, color="tab:blue")
    axis.annotate(f"{folds.mean():.3f}", (place, folds.mean()), xytext=(26, -4), textcoords="offset points")
axis.set_xticks(range(3), scores)
axis.set(xlabel="preset", ylabel="R2 of three folds", xlim=(-0.5, 2.7))
plt.show()

# %%
# Folds differ by more than presets do: on 442 rows a difference of a hundredth says little. :doc:`/quality` has
# thirteen tables.
