"""The optimizer that an estimator's parameters ask for."""

from __future__ import annotations

from dataclasses import replace

from ..optimizers import SGD, Adam, Optimizer
from ..schedules import LearningRate, cosine
from ._params import Settings
from ._plan import FitPlan
from ._task import Task, loss_name

_DECAY = 0.1  # of weights at a constant rate, which does not say how many steps there will be


def sklearn_penalty(settings: Settings) -> float:
    """Return the strength of scikit-learn's L2 penalty."""
    return 1e-4 if settings.alpha is None else settings.alpha


def gradient_factor(task: Task) -> float:
    """Return how many times scikit-learn's gradient ours is: its losses are sums over the outputs, ours means."""
    n = task.n_outputs
    return {"mse": 2 / n, "binary_cross_entropy": 1 / n, "poisson": 1 / n}.get(loss_name(task), 1.0)


def make_optimizer(plan: FitPlan, task: Task, n: int) -> Optimizer:
    """Return the optimizer for this many training rows."""
    settings = plan.settings
    lr = settings.lr
    if settings.optimizer is not None:
        return settings.optimizer if lr is None else replace(settings.optimizer, lr=lr)
    steps = plan.steps(n)
    factor = gradient_factor(task)
    if lr is None:
        lr = _learning_rate(plan, factor, steps)
    betas = {"beta1": settings.beta_1, "beta2": settings.beta_2}
    if settings.solver is None:
        decay = _DECAY if settings.alpha is None and not callable(lr) else settings.alpha
        return plan.recipe.optimizer(steps, lr, decay, **betas, eps=settings.epsilon)
    batch = plan.epochs_and_batch(n)[1] * settings.accumulate
    decay = sklearn_penalty(settings) / batch * factor
    if settings.solver == "sgd":
        nesterov = settings.nesterovs_momentum and settings.momentum > 0
        return SGD(lr, momentum=settings.momentum, nesterov=nesterov, weight_decay=decay)
    return Adam(lr, **betas, eps=settings.epsilon * factor, weight_decay=decay)


def _learning_rate(plan: FitPlan, factor: float, steps: int) -> LearningRate:
    settings = plan.settings
    rate = settings.learning_rate_init
    if rate is None:
        constant = plan.online or settings.learning_rate or settings.solver == "adam"
        rate = 1e-3 if constant else plan.recipe.lr
    if settings.solver == "sgd":
        rate /= factor
    anneals = not plan.online and settings.learning_rate is None
    return cosine(rate, warmup=steps // 20) if anneals else rate
