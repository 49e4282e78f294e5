"""The demonstration behind `steepest demo`: digits of scikit-learn's wheel, learned here and by plain NumPy."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._safe_io import check_writable, write_atomically
from ..layers import Dense
from ..network import Network
from ..optimizers import SGD
from ..schedules import cosine
from ..tables.split import split_rows
from ..training import Trainer
from .console import ProgressBar

if TYPE_CHECKING:
    from rich.console import Console

HIDDEN = 64
EPOCHS = 60
BATCH_SIZE = 32
RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-3
TEST_SHARE = 0.2
MODEL_FILE = "digits.safetensors"
PICTURE_FILE = "digits.png"

Arrays = dict[str, NDArray[np.float32]]


def run(folder: Path, *, seed: int, console: Console) -> float:
    """Train on the digits, compare with NumPy, and write the model and a picture.

    Parameters
    ----------
    folder : Path
        Where to write; made if it is not there.
    seed : int
        Seed of the first weights and of the order of the rows. The test digits are always the same.
    console : Console
        Where to tell what happens.

    Returns
    -------
    float
        The share of test digits that the network reads rightly.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn is not installed.
    OSError
        If the folder cannot be made, or nothing can be written there.
    """
    images, labels = load_digits()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, PICTURE_FILE):
        check_writable(folder / name)
    x = (images.reshape(len(images), -1) / 16).astype(np.float32)  # pixels are 0 to 16
    train, test = split_rows(np.arange(len(x)), TEST_SHARE, 0, labels)
    # Mixed once and for all, so that NumPy can go through the very same batches.
    train = np.random.default_rng(seed).permutation(train)
    x_train, y_train = x[train], labels[train]

    network = Network(x.shape[1], [Dense(HIDDEN, "relu"), Dense(10)], seed=seed)
    before = network.parameters
    n_steps = EPOCHS * math.ceil(len(train) / BATCH_SIZE)
    rate = cosine(RATE, total=n_steps)
    trainer = Trainer(network, "cross_entropy", SGD(rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY))
    console.print(
        f"{len(train):,} handwritten digits of 8 x 8 pixels to learn from, {len(test)} held out\n"
        f"{x.shape[1]}-{HIDDEN}-10 network, {network.n_parameters:,} parameters, "
        f"{n_steps:,} steps of {BATCH_SIZE} digits"
    )
    history = trainer.fit(
        x_train, y_train, epochs=EPOCHS, batch_size=BATCH_SIZE, shuffle=False, callbacks=[ProgressBar(console)]
    )
    seconds = float(history["seconds"].sum())
    loss = trainer.evaluate(x_train, y_train)["loss"]
    read = network.predict(x[test]).argmax(axis=1)
    accuracy = float(np.mean(read == labels[test]))

    start = time.perf_counter()
    after = train_with_numpy(before, x_train, y_train, rate)
    numpy_seconds = time.perf_counter() - start
    numpy_loss = mean_loss(after, x_train, y_train)
    console.print(
        f"Test accuracy: {100 * accuracy:.1f}% ({np.sum(read != labels[test])} of {len(test)} misread)\n"
        f"Time: {seconds:.2f} s, {1e6 * seconds / n_steps:.0f} microseconds a step\n"
        f"The very same steps in NumPy: {numpy_seconds:.2f} s, {numpy_seconds / seconds:.1f} times as long\n"
        f"Loss on the training digits: {loss:.6f}, in NumPy {numpy_loss:.6f}, "
        f"a relative difference of {abs(loss / numpy_loss - 1):.0e}",
        soft_wrap=True,
    )
    network.save(folder / MODEL_FILE)
    console.print(f"Wrote {folder / MODEL_FILE}", soft_wrap=True)
    try:
        draw(folder / PICTURE_FILE, images[test], labels[test], read)
        console.print(f"Wrote {folder / PICTURE_FILE}: test digits and what the network reads", soft_wrap=True)
    except ModuleNotFoundError:
        console.print("No picture, which needs matplotlib: pip install 'steepest[plot]'", soft_wrap=True)
    console.print(
        "\nNext, try your own table:\n"
        "  steepest train TABLE.csv --target COLUMN\n"
        "  steepest predict model.safetensors TABLE.csv\n"
        f"or, in Python:\n"
        f'  network = steepest.load("{folder / MODEL_FILE}")\n'
        "  network.predict(pixels / 16).argmax(axis=1)    # pixels: (n, 64), 0 to 16",
        soft_wrap=True,
    )
    return accuracy


def load_digits() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return images (1797, 8, 8), 0 to 16, and labels (1797,) from inside scikit-learn's wheel."""
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn, which is not installed: pip install 'steepest[sklearn]'"
        ) from error
    digits = datasets.load_digits()
    return digits.images, digits.target


def train_with_numpy(first: Arrays, x: NDArray[np.float32], y: NDArray[Any], rate: Callable[[int], float]) -> Arrays:
    """Take the demonstration's steps in plain NumPy: cross-entropy, backpropagation, SGD with momentum and decay.

    Parameters
    ----------
    first : dict of str to array
        The first weights, as ``network.parameters`` has them; they stay as they are.
    x : array of shape (n, 64)
        The rows, in the order of training.
    y : array of shape (n,)
        Their labels, 0 to 9.
    rate : callable
        Learning rate of a step.

    Returns
    -------
    dict of str to array
        The last weights.
    """
    w1, b1, w2, b2 = weights = [array.copy() for array in first.values()]
    velocities = [np.zeros_like(array) for array in weights]
    targets = np.eye(10, dtype=np.float32)[y]
    decay = np.float32(WEIGHT_DECAY)
    step = 0
    for _ in range(EPOCHS):
        for start in range(0, len(x), BATCH_SIZE):
            batch, target = x[start : start + BATCH_SIZE], targets[start : start + BATCH_SIZE]
            hidden = np.maximum(batch @ w1 + b1, 0)
            logits = hidden @ w2 + b2
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            d_logits = (shares - target) / np.float32(len(batch))
            d_hidden = (d_logits @ w2.T) * (hidden > 0)
            gradients = (
                batch.T @ d_hidden + decay * w1,
                d_hidden.sum(axis=0),
                hidden.T @ d_logits + decay * w2,
                d_logits.sum(axis=0),
            )
            for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
                velocity *= np.float32(MOMENTUM)
                velocity += gradient
                weight -= np.float32(rate(step)) * velocity
            step += 1
    return dict(zip(first, weights, strict=True))


def mean_loss(weights: Arrays, x: NDArray[np.float32], y: NDArray[Any]) -> float:
    """Return the mean cross-entropy over the rows, in NumPy."""
    w1, b1, w2, b2 = weights.values()
    logits = (np.maximum(x @ w1 + b1, 0) @ w2 + b2).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]))


def draw(path: Path, images: NDArray[Any], labels: NDArray[Any], read: NDArray[Any]) -> None:
    """Write a picture of 24 digits with what was read, misread ones first and in red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.6), layout="constrained")
    chosen = np.argsort(read == labels, kind="stable")[:24]
    for place, axes in zip(chosen, figure.subplots(4, 6).flat, strict=True):
        axes.imshow(images[place], cmap="gray_r")
        axes.set_axis_off()
        wrong = read[place] != labels[place]
        title = f"{read[place]}, is {labels[place]}" if wrong else f"{read[place]}"
        axes.set_title(title, color="red" if wrong else "black")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomically(path, picture.getvalue())
