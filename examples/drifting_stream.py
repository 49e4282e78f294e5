"""Online regression on a stream whose law drifts.

Shows learning from one row at a time: predict, see the truth, take one step. A microsecond or so is the price of a
step on a small network, so the network can follow the stream for as long as it flows. A copy that stops learning after
the first part shows what is lost otherwise. Each row is predicted before it is learned from, so the errors are honest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import steepest as st

ROWS, FROZEN_AFTER = 12_000, 4_000


def stream(seed: int = 0) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Yield rows (1, 3) and targets; the direction that matters turns by half a circle from the first to the last."""
    rng = np.random.default_rng(seed)
    for turn in np.linspace(0, np.pi, ROWS):
        x = rng.uniform(-1, 1, (1, 3)).astype(np.float32)
        along = np.cos(turn) * x[0, 0] + np.sin(turn) * x[0, 1]
        yield x, float(np.sin(2 * along) + 0.5 * x[0, 2] ** 2 + rng.normal(scale=0.1))


def main() -> dict[str, float]:
    """Follow the stream, and return the root mean square errors on the rows after the first part."""
    net = st.Network(3, [st.Dense(32, "tanh"), st.Dense(1)], seed=0)
    trainer = st.Trainer(net, "mse", st.SGD(0.05))
    frozen = net
    live_errors, frozen_errors, targets = [], [], []
    for row, (x, y) in enumerate(stream()):
        if row == FROZEN_AFTER:
            frozen = net.copy()
        live_errors.append(net.predict(x)[0, 0] - y)
        frozen_errors.append(frozen.predict(x)[0, 0] - y)
        targets.append(y)
        trainer.step(x, [y])

    def rms(values: list[float], start: int, stop: int) -> float:
        return float(np.sqrt(np.mean(np.square(values[start:stop]))))

    print("error, of which 0.1 is noise:\nrows              learning on   frozen")
    for start in range(0, ROWS, 2_000):
        stop = start + 2_000
        live, still = rms(live_errors, start, stop), rms(frozen_errors, start, stop)
        print(f"{start:6,} to {stop:6,}  {live:11.3f}  {still:7.3f}")
    return {
        "online": rms(live_errors, FROZEN_AFTER, ROWS),
        "frozen": rms(frozen_errors, FROZEN_AFTER, ROWS),
        "spread": float(np.std(targets[FROZEN_AFTER:])),
    }


if __name__ == "__main__":
    main()
