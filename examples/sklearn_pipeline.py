"""A classifier in scikit-learn's Pipeline and GridSearchCV.

Shows that `st.MLPClassifier` stands where scikit-learn's own would: it is cloned, set by ``step__parameter`` names,
scored by cross-validation and refitted. The search learns the width and the penalty from the training rows alone; the
test rows are looked at once, at the end.
"""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import steepest as st


def main() -> dict[str, float]:
    """Search, and return accuracies: of the best in cross-validation and on unseen rows, and of the larger class."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)

    pipeline = Pipeline([("scale", StandardScaler()), ("net", st.MLPClassifier(max_iter=50, random_state=0))])
    grid = {"net__hidden_layer_sizes": [(8,), (64,)], "net__alpha": [1e-4, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x_train, y_train)

    scores = search.cv_results_
    for parameters, mean, spread in zip(
        scores["params"], scores["mean_test_score"], scores["std_test_score"], strict=True
    ):
        print(f"{mean:.3f} +- {spread:.3f}  {parameters}")
    result = {
        "cross-validation": float(search.best_score_),
        "test": float(search.score(x_test, y_test)),
        "larger class": float(max(y_test.mean(), 1 - y_test.mean())),
    }
    print("best:", search.best_params_, ", ".join(f"{name} {value:.3f}" for name, value in result.items()))
    return result


if __name__ == "__main__":
    main()
