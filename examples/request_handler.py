"""A network behind a web service, without the web framework.

Shows embedding: `Service` reads one model file when the program starts, and `Service.answer` takes the JSON object of a
request and returns a status and a JSON object, whatever it is sent. `net.predict` may run in many threads at once, so
there is no lock and no queue. In FastAPI the whole glue is::

    @app.post("/predict")
    def predict(request: dict, response: Response) -> dict:  # not async: FastAPI then uses its threads
        response.status_code, answer = service.answer(request)
        return answer
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_iris

import steepest as st

MOST_ROWS = 1_000


class Service:
    """Names irises by the model in a file."""

    def __init__(self, path: Path) -> None:
        self.net = st.load(path)
        if self.net.preprocessing is None:
            raise ValueError(f"{path}: a model without preprocessing: expected one that train_model wrote")
        self.mean, self.scale = np.array(self.net.preprocessing["mean"]), np.array(self.net.preprocessing["scale"])
        self.species: list[str] = self.net.preprocessing["species"]

    def answer(self, request: Any) -> tuple[int, dict[str, Any]]:
        """Return 200 and the species of each row, or 422 and what is wrong with the request."""
        try:
            rows = request.get("rows") if isinstance(request, dict) else None
            if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_ROWS:
                raise ValueError(f'expected {{"rows": [[5.1, 3.5, 1.4, 0.2], ...]}} with 1 to {MOST_ROWS} rows')
            for i, row in enumerate(rows):
                # To Python a bool is an int, which is refused here; NaN is a float, which predict refuses.
                if not isinstance(row, list) or len(row) != 4 or any(type(v) not in (int, float) for v in row):
                    raise ValueError(f"rows[{i}]: expected 4 numbers")
            logits = self.net.predict((np.array(rows, np.float64) - self.mean) / self.scale)
        except (ValueError, OverflowError) as error:
            return 422, {"error": str(error)}
        return 200, {"species": [self.species[i] for i in logits.argmax(axis=1)]}


def train_model(path: Path) -> None:
    """Train on the irises, and write network, scaling and names to one file."""
    iris = load_iris()
    mean, scale = iris.data.mean(axis=0), iris.data.std(axis=0)
    net = st.Network(4, [st.Dense(16, "relu"), st.Dense(3)], seed=0)
    st.Trainer(net, "cross_entropy", st.Adam(0.01)).fit((iris.data - mean) / scale, iris.target, epochs=60)
    net.preprocessing = {"mean": mean.tolist(), "scale": scale.tolist(), "species": iris.target_names.tolist()}
    net.save(path)


def main() -> dict[str, float]:
    """Ask for every iris from eight threads, with bad requests in between; count what comes back."""
    iris = load_iris()
    with tempfile.TemporaryDirectory() as folder:
        train_model(Path(folder) / "iris.safetensors")
        service = Service(Path(folder) / "iris.safetensors")

    good = [json.dumps({"rows": [row]}) for row in iris.data.tolist()]
    bad = ["[]", "{}", '{"rows": 3}', '{"rows": []}', '{"rows": [[1, 2, 3]]}', '{"rows": [[1, 2, 3, "4"]]}']
    bad += ['{"rows": [[1, 2, 3, true]]}', '{"rows": [[1, 2, 3, NaN]]}', '{"rows": [[1, 2, 3, 1e39]]}']
    bad += [f'{{"rows": [[1, 2, 3, 1{"0" * 400}]]}}']
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda body: service.answer(json.loads(body)), good + bad))
    for body, (status, answer) in list(zip(good + bad, answers, strict=True))[len(good) - 1 :]:
        print(f"{body[:32]:32} -> {status} {json.dumps(answer)}")
    named = [answer.get("species") for _, answer in answers[: len(good)]]
    truth = [[species] for species in iris.target_names[iris.target]]
    return {
        "accuracy": float(np.mean([name == true for name, true in zip(named, truth, strict=True)])),
        "answered": sum(status == 200 for status, _ in answers),
        "refused": sum(status == 422 and bool(answer["error"]) for status, answer in answers),
    }


if __name__ == "__main__":
    main()
