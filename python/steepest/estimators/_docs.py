"""The text of each parameter and attribute of the estimators, once; the class docstrings are completed from here."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import NamedTuple, TypeVar

C = TypeVar("C", bound=type)


class Entry(NamedTuple):
    """A parameter or attribute: its type, and what it means."""

    kind: str
    text: str


PARAMETERS: dict[str, Entry] = {
    "loss": Entry("", ""),  # each estimator's own
    "hidden_layer_sizes": Entry(
        "int or sequence of int", "Widths of the hidden layers; ``()`` makes a linear model. None: the recipe's."
    ),
    "activation": Entry(
        "str or sequence of str",
        'Activation of all hidden layers, or one for each: "logistic" or any of `steepest.Dense`. None: "silu".',
    ),
    "solver": Entry(
        '{"adam", "sgd", "lbfgs"}',
        'The optimizer. None: AdamW. "lbfgs" takes all rows in each step and suits small data.',
    ),
    "alpha": Entry(
        "float",
        "Strength of the L2 penalty on the weights, >= 0, divided by the rows of a batch as in scikit-learn. None: "
        "1e-4 with a `solver`; for the default AdamW, whose decoupled weight decay it is, the recipe's.",
    ),
    "batch_size": Entry('int or "auto"', 'Rows in a step. None and "auto": by the number of rows.'),
    "learning_rate": Entry(
        '{"constant", "invscaling", "adaptive"}',
        "How the rate changes from epoch to epoch. None: it rises and then falls along a cosine. Momentum follows "
        "PyTorch: a new rate scales the whole velocity, where scikit-learn keeps the older steps' own rates.",
    ),
    "learning_rate_init": Entry(
        "float", "The rate at the start, or the highest of the cosine, > 0. None: the recipe's."
    ),
    "power_t": Entry("float", 'For "invscaling": the rate is ``learning_rate_init / (t_ + 1) ** power_t``.'),
    "max_iter": Entry("int", "The most epochs, or iterations of lbfgs. None: by the number of rows."),
    "shuffle": Entry("bool", "Whether each epoch has an order of its own."),
    "random_state": Entry(
        "int, RandomState or None",
        "Decides the first weights, the order of rows, dropout, and held-out rows. None: another fit differs.",
    ),
    "tol": Entry(
        "float",
        "Stop when `n_iter_no_change` epochs in a row gained less than this in the loss or score. None: 0 (1e-4 with "
        "lbfgs).",
    ),
    "verbose": Entry("bool", "Whether to print a line for each epoch."),
    "warm_start": Entry(
        "bool",
        "Whether another `fit` goes on from the last: from its weights, the optimizer's running means and the order of "
        "rows. At a constant rate, fits of 2 and 3 epochs are then one of 5. Scales, labels and columns follow rows "
        "that are not like those before, as in `partial_fit`.",
    ),
    "momentum": Entry("float", 'Momentum of "sgd", 0 <= momentum < 1.'),
    "nesterovs_momentum": Entry("bool", 'Whether the momentum of "sgd" is Nesterov\'s.'),
    "early_stopping": Entry(
        "bool",
        "Whether to hold rows out and keep the best epoch. None: in an ensemble, or where there are at least 200 rows. "
        "True with too few rows to hold one out is an error.",
    ),
    "validation_fraction": Entry(
        "float", "The share of the rows held out, between 0 and 1. None: 0.2 of up to 2,000 rows, else 0.1."
    ),
    "beta_1": Entry("float", "How much of itself the running mean of gradients keeps in each step of Adam and AdamW."),
    "beta_2": Entry("float", "The same for the running mean of squared gradients."),
    "epsilon": Entry("float", "Added as in PyTorch, after the correction of the running means."),
    "n_iter_no_change": Entry(
        "int", "Stop after so many epochs in a row without a gain of `tol`. None: half of `max_iter`, at least 10."
    ),
    "optimizer": Entry("Optimizer", "One of steepest's, in place of `solver` and its parameters."),
    "lr": Entry("float or schedule", "The learning rate, or one of `steepest.schedules`, for any optimizer."),
    "dropout": Entry(
        "float",
        'Share of hidden outputs dropped in training, 0 <= dropout < 1. None: the recipe\'s; none for "lbfgs" and '
        "`partial_fit`.",
    ),
    "batch_norm": Entry("bool", "Whether to normalize over the batch before each hidden activation."),
    "layer_norm": Entry("bool", "Whether to normalize each row before each hidden activation."),
    "ensemble": Entry(
        "int",
        "Number of networks to average, each with a seed of its own and other rows held out. None: the recipe's, five "
        "up to 2,000 rows (with an embedding of the numbers, without, or in turn, as rows held out decide), four up to "
        "62,500. Setting `hidden_layer_sizes`, `solver`, `optimizer`, `max_iter` or `callbacks` describes one network, "
        "and makes one.",
    ),
    "encode": Entry(
        '{"auto", "numbers"}',
        '"auto": a data frame with text, categories, booleans or missing values goes through `TableEncoder`; its '
        'columns are then known by name. "numbers": numbers alone are accepted.',
    ),
    "preset": Entry(
        '{"fast", "best", "sklearn"}',
        '"fast": for a first look, in a third of the time. "best": what the table has to give, by three times as many '
        'networks, trained for longer. "sklearn": parameters left at None become scikit-learn\'s defaults, nothing is '
        "scaled, and the network begins with the weights scikit-learn would draw. The gradient is scikit-learn's, "
        "which sums over several outputs; in `loss_curve_` the penalty is interpolated between the ends of each epoch.",
    ),
    "callbacks": Entry("Callback or sequence of Callback", "Called in the training of each network."),
    "accumulate": Entry(
        "int", "The optimizer steps after so many batches, by the mean of their gradients; an epoch may end before."
    ),
    "ema": Entry(
        "float",
        "Predict with a running average of the weights that keeps this share of itself in each step, 0 < ema < 1, such "
        "as 0.999; held-out rows measure the average too.",
    ),
    "mixup": Entry("float", "Above 0: train on mixtures of two rows each, in shares drawn from Beta(mixup, mixup)."),
    "eval_metric": Entry("", ""),  # each estimator's own
    "n_jobs": Entry(
        "int",
        "Number of networks of an `ensemble` trained at once, in threads: -1 is all processors, -2 all but one. None: "
        "as many as is fastest, and one where the rows or a metric need Python. The result is the same. With "
        "`callbacks` they train one after the other.",
    ),
    "time_limit": Entry(
        "float",
        "Seconds that `fit` may take, > 0. As many networks are trained, for as many epochs, as there is time for, up "
        'to those of the preset, "best" if that is None; whatever is there when the time is over is kept.',
    ),
    "class_weight": Entry('dict or "balanced"', 'Weights of the classes; "balanced": inverse to how often they occur.'),
    "label_smoothing": Entry(
        "float",
        "This share of each target is spread evenly over all classes, 0 <= label_smoothing < 1. None: 0; but "
        "0.1 where rows are held out of up to 2,000, by which the logits are then rescaled to take the smoothing back.",
    ),
    "quantile": Entry("float", 'For the loss "quantile": the one to predict, between 0 and 1.'),
    "delta": Entry(
        "float",
        'For the loss "huber": where the parabola becomes a line, in units of y. None: one standard deviation, or 1 '
        "with the preset.",
    ),
}

EVAL_METRIC = (
    "Chooses the best epoch on held-out rows or those of `eval_set`, instead of the loss: {names}, or a function of "
    "your own, ``function(y, prediction) -> float``, where y is as given to `fit` and the prediction as `{method}` "
    "returns it. Larger is better where the name says so, as accuracy, r2, auc, f1 and what ends in "
    "_score do; else smaller; "
    '``(metric, "max")`` or ``(metric, "min")`` decides it. With `early_stopping` at None rows are held out even of a '
    "small table."
)
LOSS_FUNCTION = (
    "It returns the rows' mean loss, or the loss of each, (n,), which it must where there are weights; and the "
    "derivative of that mean by the prediction, of its shape."
)

ATTRIBUTES: dict[str, Entry] = {
    "encoder_": Entry(
        "TableEncoder or None", "Reads its tables, and describes them; None where it learned from an array."
    ),
    "network_": Entry("Network", "The first network."),
    "networks_": Entry("list of Network", "All of an ensemble."),
    "recipe_": Entry("dict", 'Everything that was decided, and "in_words" in sentences.'),
    "history_": Entry("History", "The course of the first network's training."),
    "histories_": Entry("list of History", "That of each network's."),
    "coefs_": Entry("list of array of shape (n_in, n_out)", "Weights of each dense layer, for features as scaled."),
    "intercepts_": Entry("list of array of shape (n_out,)", "Biases of each dense layer."),
    "n_iter_": Entry(
        "int",
        "Epochs trained since the network was new, by all fits with `warm_start` and calls of `partial_fit`; for lbfgs "
        "the iterations of the last fit.",
    ),
    "t_": Entry("int", "Rows trained since then."),
    "loss_curve_": Entry("list of float", "The loss of each of these epochs."),
    "loss_": Entry("float", "The last of them."),
    "best_loss_": Entry("float or None", "The least of them, as in scikit-learn."),
    "validation_scores_": Entry("list of float or None", "The score of each epoch on held-out rows."),
    "best_validation_score_": Entry("float", "The best of them, where there are held-out rows."),
    "n_layers_": Entry("int", "Layers, the input included."),
    "n_outputs_": Entry("int", "Outputs of a network."),
    "out_activation_": Entry("str", "The link between outputs and predictions, by scikit-learn's names."),
    "n_features_in_": Entry("int", "Columns of X."),
    "feature_names_in_": Entry("array of str, one for each column", "Their names, where all are text."),
    "target_name_": Entry("str or None", "Name of y, where it has one."),
}


def documented(own: Mapping[str, Entry], attributes: Mapping[str, Entry]) -> Callable[[C], C]:
    """Complete a class's docstring: parameters after its first paragraphs, attributes before its examples.

    Parameters
    ----------
    own : mapping of str to Entry
        Parameters that mean something else, or something more, in this class.
    attributes : mapping of str to Entry
        Attributes of this class alone.
    """

    def complete(cls: C) -> C:
        defaults = {field.name: field.default for field in fields(cls)}
        texts = PARAMETERS | dict(own)
        parameters = {
            name: Entry(f"{texts[name].kind}, default={default!r}", texts[name].text)
            for name, default in defaults.items()
        }
        head, _, examples = textwrap.dedent("    " + (cls.__doc__ or "")).partition("Examples\n--------\n")
        parts = [
            head.rstrip(), _section("Parameters", parameters), _section("Attributes", dict(attributes) | ATTRIBUTES),
            f"Examples\n--------\n{examples}",
        ]  # fmt: skip
        cls.__doc__ = "\n\n".join(parts)
        return cls

    return complete


def _section(title: str, entries: Mapping[str, Entry]) -> str:
    """Return a section of a numpydoc docstring."""
    lines = [title, "-" * len(title)]
    for name, (kind, text) in entries.items():
        lines += [f"{name} : {kind}", textwrap.indent(textwrap.fill(text, 112, break_on_hyphens=False), "    ")]
    return "\n".join(lines)
