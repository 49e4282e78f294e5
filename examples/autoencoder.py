"""An autoencoder squeezes digits through eight numbers, and is compared with PCA.

Shows a network whose target is its own input. PCA is the best that straight lines can do with eight numbers; the
network may bend them. Both learn from the same images and are measured on images that neither has seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import steepest as st

WIDTH = 8


def show(*images: NDArray[np.float32]) -> None:
    """Print images of 8 x 8 beside each other, darker where the number is higher."""
    for line in range(8):
        rows = (np.clip(image.reshape(8, 8)[line], 0, 1) for image in images)
        print("   ".join("".join(" .:-=+*#%@"[int(9 * value)] * 2 for value in row) for row in rows))


def main() -> dict[str, float]:
    """Train both, and return their mean squared errors on unseen images."""
    images = load_digits().data.astype(np.float32) / 16
    train, test = train_test_split(images, test_size=0.25, random_state=0)

    net = st.Network(
        64, [st.Dense(128, "silu"), st.Dense(WIDTH), st.Dense(128, "silu"), st.Dense(64, "sigmoid")], seed=0
    )
    trainer = st.Trainer(net, "mse", st.Adam(st.schedules.cosine(5e-3)))
    trainer.fit(train, train, epochs=100, batch_size=32)
    by_net = net.predict(test)

    pca = PCA(WIDTH, random_state=0).fit(train)
    by_pca = pca.inverse_transform(pca.transform(test)).astype(np.float32)

    result = {
        "autoencoder": float(np.mean((by_net - test) ** 2)),
        "pca": float(np.mean((by_pca - test) ** 2)),
        "mean image": float(np.mean((train.mean(axis=0) - test) ** 2)),
    }
    print("image              autoencoder        PCA")
    show(test[0], by_net[0], by_pca[0])
    print("mean squared error: " + ", ".join(f"{name} {error:.4f}" for name, error in result.items()))
    return result


if __name__ == "__main__":
    main()
