"""A hundred steps from the same weights as PyTorch and as scikit-learn, in float64: the same losses, the same end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, normal, relative_error
from steepest.layers import ACTIVATIONS, Layer
from steepest.optimizers import Optimizer

Array = ref.Array

TOLERANCE = 1e-10
N, N_IN, BATCH, EPOCHS = 120, 6, 25, 20  # five batches in an epoch, the last of 20 rows
X = normal(0, (N, N_IN))
Z = np.tanh(X @ normal(1, (N_IN, 3))) + 0.3 * normal(2, (N, 3))


# --- PyTorch ---


def the_torch() -> Any:
    """PyTorch, without which the test is skipped."""
    return pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")


def torch_module(layers: Sequence[Layer], n: int, tensors: dict[str, Array], prefix: str = "") -> Any:
    """The same layers with the same tensors as a PyTorch module."""
    torch = the_torch()
    nn = torch.nn
    activations = {
        "identity": nn.Identity, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU,
        "gelu": nn.GELU, "silu": nn.SiLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softplus": nn.Softplus,
        "mish": nn.Mish,
    }  # fmt: skip

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, branch: Any) -> None:
            super().__init__()
            self.branch = branch

        def forward(self, x: Any) -> Any:
            return x + self.branch(x)

    class Periodic(nn.Module):  # type: ignore[misc, name-defined]
        """Tensors are turned as those of nn.Linear are."""

        def __init__(self, layer: st.PeriodicEmbedding, n: int) -> None:
            super().__init__()
            shapes = layer.parameter_shapes(n)
            self.columns, self.size = list(range(n) if layer.columns is None else layer.columns), layer.size
            self.activation = activations[layer.activation]()
            self.weight, self.frequency = (nn.Parameter(torch.zeros(*shape).T) for shape in shapes.values())

        def forward(self, x: Any) -> Any:
            turns = 2 * torch.pi * x[:, self.columns, None] * self.frequency.T
            features = torch.cat([torch.cos(turns), torch.sin(turns), torch.ones_like(turns[..., :1])], dim=2)
            maps = self.weight.T.reshape(len(self.columns), -1, self.size)
            made = self.activation(torch.einsum("rcf,cfs->rcs", features, maps))
            return torch.cat([x, made.flatten(1)], dim=1)

    modules: list[Any] = []
    for i, layer in enumerate(layers):
        path = f"{prefix}{i}."
        if isinstance(layer, st.Dense):
            modules.append(nn.Linear(n, layer.n_out, bias=layer.bias))
        elif isinstance(layer, st.BatchNorm):
            modules.append(nn.BatchNorm1d(n, eps=layer.eps, momentum=layer.momentum))
        elif isinstance(layer, st.LayerNorm):
            modules.append(nn.LayerNorm(n, eps=layer.eps))
        elif isinstance(layer, st.PeriodicEmbedding):
            modules.append(Periodic(layer, n))
        elif isinstance(layer, st.Residual):
            modules.append(Residual(torch_module(layer.layers, n, tensors, path)))
        elif isinstance(layer, st.Activation):
            modules.append(activations[layer.name]())
        module = modules[-1].double()
        for name, target in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
            if f"{path}{name}" in tensors:
                target.data = torch.tensor(tensors[f"{path}{name}"].T.copy())
        if isinstance(layer, st.Dense):
            modules.append(activations[layer.activation]())
        n = layer.output_size(n)
    return nn.Sequential(*modules)


def torch_optimizer(optimizer: Optimizer, module: Any) -> Any:
    """PyTorch's optimizer with the same settings; like ours it decays the weights of linear maps alone."""
    torch = the_torch()
    optim = torch.optim
    decayed = [m.weight for m in module.modules() if isinstance(m, torch.nn.Linear) or hasattr(m, "frequency")]
    others = [p for p in module.parameters() if all(p is not weight for weight in decayed)]
    groups = [{"params": decayed, "weight_decay": optimizer.weight_decay}, {"params": others, "weight_decay": 0.0}]
    rate = optimizer.lr if isinstance(optimizer.lr, float) else 0.0
    if isinstance(optimizer, st.SGD):
        return optim.SGD(groups, lr=rate, momentum=optimizer.momentum, nesterov=optimizer.nesterov)
    if isinstance(optimizer, st.RMSprop):
        settings = {"alpha": optimizer.alpha, "momentum": optimizer.momentum, "eps": optimizer.eps}
        return optim.RMSprop(groups, lr=rate, **settings)
    assert isinstance(optimizer, st.Adam)
    kind = optim.AdamW if isinstance(optimizer, st.AdamW) else optim.Adam
    return kind(groups, lr=rate, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps)


def torch_loss(loss: str, options: dict[str, float]) -> Any:
    """PyTorch's loss of that name."""
    nn = the_torch().nn
    return {
        "mse": nn.MSELoss,
        "mae": nn.L1Loss,
        "huber": nn.HuberLoss,
        "cross_entropy": nn.CrossEntropyLoss,
        "binary_cross_entropy": nn.BCEWithLogitsLoss,
        "poisson": lambda: nn.PoissonNLLLoss(log_input=True, full=False),
    }[loss](**options)


def follow_torch(
    layers: Sequence[Layer], loss: str, optimizer: Optimizer, y: Array, tolerance: float = TOLERANCE, **options: Any
) -> None:
    torch = the_torch()
    torch.set_num_threads(1)  # which is faster for so small a network
    net = st.Network(N_IN, layers, seed=3, dtype="float64")
    trainer = st.Trainer(net, loss, optimizer, **options)
    module = torch_module(layers, N_IN, net.parameters | net.buffers)
    peer, criterion = torch_optimizer(optimizer, module), torch_loss(loss, options)
    for step in range(EPOCHS * 5):
        part = slice(step % 5 * BATCH, (step % 5 + 1) * BATCH)
        if callable(optimizer.lr):
            for group in peer.param_groups:
                group["lr"] = optimizer.lr(step)
        peer.zero_grad()
        value = criterion(module(torch.tensor(X[part])), torch.tensor(y[part]))
        value.backward()
        if optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(module.parameters(), optimizer.clip_norm)
        if optimizer.clip_value:
            torch.nn.utils.clip_grad_value_(module.parameters(), optimizer.clip_value)
        peer.step()
        assert trainer.step(X[part], y[part]) == pytest.approx(value.item(), rel=tolerance), f"step {step}"
    module.eval()
    with torch.no_grad():
        outputs = module(torch.tensor(X)).numpy()
    assert_within(net.predict(X), outputs, tolerance * np.abs(outputs).max())
    fresh = torch_module(layers, N_IN, net.parameters | net.buffers)
    ours, theirs = dict(fresh.state_dict()), dict(module.state_dict())
    for name, tensor in ours.items():
        assert name.endswith("num_batches_tracked") or relative_error(tensor, theirs[name]) <= tolerance, name


DEEP = [
    st.Dense(16, bias=False), st.BatchNorm(), st.Activation("silu"),
    st.Residual([st.LayerNorm(), st.Dense(24, "gelu"), st.Dense(16)]), st.LayerNorm(), st.Dense(3),
]  # fmt: skip


@pytest.mark.parametrize(
    "optimizer",
    [
        st.SGD(0.05),
        st.SGD(0.05, momentum=0.9, weight_decay=0.01),
        st.SGD(0.02, momentum=0.9, nesterov=True, clip_value=0.02),
        st.SGD(st.schedules.cosine(0.05, total=100, warmup=10), momentum=0.9),
        st.Adam(0.003),
        st.Adam(0.003, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.01),
        st.AdamW(0.003, weight_decay=0.5),
        st.RMSprop(0.002),
        st.RMSprop(0.002, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=0.01),
    ],
    ids=str,
)
def test_pytorch_optimizers(optimizer: Optimizer) -> None:
    follow_torch(DEEP, "mse", optimizer, Z)


@pytest.mark.parametrize(
    "optimizer",
    [
        st.SGD(0.02, momentum=0.9, weight_decay=0.01),
        st.Adam(0.003, weight_decay=0.01, clip_value=0.02),
        st.AdamW(0.003, weight_decay=0.5),
        st.RMSprop(0.002, momentum=0.5),
    ],
    ids=str,
)
def test_pytorch_embeddings(optimizer: Optimizer) -> None:
    first, second = st.PeriodicEmbedding(7, 4, sigma=0.3), st.PeriodicEmbedding(3, 5, "identity", columns=[15, 2])
    follow_torch([first, st.Dense(16, "tanh"), second, st.Dense(3)], "mse", optimizer, Z)


def test_pytorch_clipping_by_norm() -> None:
    # PyTorch adds 1e-6 to the norm that it divides by.
    follow_torch(DEEP, "mse", st.SGD(0.05, momentum=0.9, clip_norm=0.2), Z, tolerance=1e-5)


SHARES = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("loss", "y", "options"),
    [
        ("mse", Z, {}),
        ("mae", Z, {}),
        ("huber", Z, {"delta": 0.3}),
        ("huber", Z, {}),
        ("cross_entropy", Z.argmax(axis=1), {}),
        ("cross_entropy", SHARES, {}),
        ("binary_cross_entropy", (Z > 0).astype(float), {}),
        ("binary_cross_entropy", SHARES, {}),
        ("poisson", np.floor(np.exp(Z)), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pytorch_losses(loss: str, y: Array, options: dict[str, float]) -> None:
    follow_torch([st.Dense(16, "tanh"), st.Dense(3)], loss, st.SGD(0.05, momentum=0.9), y, **options)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pytorch_activations(activation: str) -> None:
    follow_torch([st.Dense(16, activation), st.Dense(3)], "cross_entropy", st.SGD(0.05), Z.argmax(axis=1))


# --- scikit-learn ---

# Its eps counts for more in the first steps of Adam than the paper's; where it is next to nothing the two are one.
NO_EPS = 1e-300


def follow_sklearn(kind: str, y: Array, activation: str, solver: str, **settings: Any) -> None:
    """Fit both, and compare the curve of the loss and the weights.

    Its squared loss is half the mean over all elements, but its gradient that of half the sum over the outputs: half
    the number of outputs times ours.
    """
    reason = "compares with scikit-learn, which is not installed"
    neural_network = pytest.importorskip("sklearn.neural_network", reason=reason)
    exceptions = pytest.importorskip("sklearn.exceptions", reason=reason)
    regression = kind == "MLPRegressor"
    lr = 0.05 if solver == "sgd" else 0.003
    common = {"hidden_layer_sizes": (16, 9), "activation": activation, "solver": solver, "alpha": 0.0, "shuffle": False}
    common |= {"batch_size": BATCH, "random_state": 0, "epsilon": NO_EPS, "tol": 0.0, **settings}
    at_start = getattr(neural_network, kind)(**common, learning_rate_init=NO_EPS, max_iter=1)
    trained = getattr(neural_network, kind)(**common, learning_rate_init=lr, max_iter=EPOCHS, n_iter_no_change=EPOCHS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # the epochs are few
        at_start.fit(X, y)
        trained.fit(X, y)

    n_out = trained.n_outputs_
    hidden = {"logistic": "sigmoid"}.get(activation, activation)
    layers = [st.Dense(16, hidden), st.Dense(9, hidden), st.Dense(n_out)]
    net = st.Network(N_IN, layers, dtype="float64")
    net.set_parameters({f"{i}.weight": w for i, w in enumerate(at_start.coefs_)})
    net.set_parameters({f"{i}.bias": b for i, b in enumerate(at_start.intercepts_)})
    loss = "mse" if regression else "cross_entropy" if n_out > 1 else "binary_cross_entropy"
    optimizer: Optimizer
    if solver == "adam":
        optimizer = st.Adam(lr, eps=NO_EPS)
    else:
        optimizer = st.SGD(
            lr * n_out / 2 if regression else lr,
            momentum=settings.get("momentum", 0.9),
            nesterov=settings.get("nesterovs_momentum", True),
        )
    history = st.Trainer(net, loss, optimizer).fit(X, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False)
    curve = np.asarray(trained.loss_curve_) * (2 if regression else 1)
    assert_within(history["loss"], curve, TOLERANCE * curve)
    for i, (weight, bias) in enumerate(zip(trained.coefs_, trained.intercepts_, strict=True)):
        assert relative_error(net.parameters[f"{i}.weight"], weight) <= TOLERANCE
        assert relative_error(net.parameters[f"{i}.bias"], bias) <= TOLERANCE


SOLVERS: list[dict[str, Any]] = [
    {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
    {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": False},
    {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    {"solver": "adam"},
]


@pytest.mark.parametrize("settings", SOLVERS, ids=str)
@pytest.mark.parametrize("n_out", [1, 3])
def test_sklearn_regressor(n_out: int, settings: dict[str, Any]) -> None:
    follow_sklearn("MLPRegressor", Z[:, 0] if n_out == 1 else Z, "tanh", **settings)


@pytest.mark.parametrize("settings", SOLVERS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_sklearn_classifier(classes: int, settings: dict[str, Any]) -> None:
    labels = (Z[:, 0] > 0) * 1 if classes == 2 else Z.argmax(axis=1)
    follow_sklearn("MLPClassifier", labels, "relu" if classes == 2 else "logistic", **settings)
