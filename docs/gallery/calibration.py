"""
Do probabilities mean what they say?
====================================

Of all rows to which a classifier gives 80%, eight in ten should be of that class. `MLPClassifier` divides its outputs
by one number that suits rows held out. scikit-learn's defaults, here by ``preset="sklearn"``, train on until they are
surer than they should be.
"""

import matplotlib.pyplot as plt
from sklearn.calibration import calibration_curve
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import steepest as st

x, y = make_classification(3000, 20, n_informative=6, flip_y=0.15, class_sep=0.7, random_state=0)
x_train, x_test, y_train, y_test = train_test_split(x, y, train_size=1000, random_state=0)

figure, axis = plt.subplots(figsize=(5.5, 4.5))
axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
for name, preset in (("steepest's own recipe", None), ("scikit-learn's defaults", "sklearn")):
    model = st.MLPClassifier(preset=preset, max_iter=1000 if preset else None, random_state=0).fit(x_train, y_train)
    probability = model.predict_proba(x_test)[:, 1]
    observed, said = calibration_curve(y_test, probability, n_bins=8)
    axis.plot(said, observed, "o-", label=f"{name}: log loss {log_loss(y_test, probability):.3f}")
axis.set(xlabel="probability that was said", ylabel="share of the rows")
axis.legend()
plt.show()
