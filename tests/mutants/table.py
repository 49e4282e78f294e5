"""The mutants: one wrong number, sign or bound each, and the tests that must notice."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A change of one source file, whose `old` stands there once, and the arguments of pytest that must fail."""

    file: str
    old: str
    new: str
    tests: str


KERNELS = "tests/kernels/test_kernels.py -k "
ACTIVATIONS = KERNELS + "'activation or alpha or last_place'"
LOSSES = KERNELS + "'loss or extreme or weight_zero or probabilities'"
UPDATES = KERNELS + "'update or sum_squares'"
NORMS = KERNELS + "norm"
FORWARD, WEIGHTS, INPUTS = KERNELS + "forward", KERNELS + "weight_gradient", KERNELS + "input_gradient"
DROPOUT, ROWS = KERNELS + "dropout", KERNELS + "gather"
TOP_K = (
    "tests/kernels/test_top_k.py tests/training/test_layerwise.py -k 'largest or ties or selected or chosen or bucket'"
)
METRICS = "tests/core/test_metrics.py tests/core/test_numerics.py -k metrics"
TRAJECTORIES = "tests/core/test_trajectories.py -k optimizer"
GRADIENTS = "tests/core/test_gradients.py -k layers"
GROUPS, OPTIONS = "tests/training/test_groups.py", "tests/training/test_trainer_options.py"
LAYERWISE, TRAINING = "tests/training/test_layerwise.py", "tests/training/test_training.py"
NUMERICS, WIDTHS = "tests/core/test_numerics.py", "tests/core/test_network.py"
SCHEDULES, CALIBRATION = "tests/training/test_schedules.py", "tests/estimators/test_calibration.py"
SCALING = "tests/tables/test_scaling.py tests/tables/test_bins.py"
EXPANSION = "tests/tables/test_expansion.py"
SENTINELS = "tests/tables/test_encoder_cases.py -k 't06 or pile or quantiles'"
LOSS_OF_ONES_OWN = "tests/training/test_custom_loss.py"

KERNEL_FILES = {
    "cpp/kernels/activations.inl": [
        ("return n.below + z * n.density;", "return n.below - z * n.density;", ACTIVATIONS),
        ("return sigmoid_by<T>(e, z) * (T(1) + z * sigmoid_by<T>(e, -z));", "return sigmoid_by<T>(e, z) * (T(1) - z * sigmoid_by<T>(e, -z));", ACTIVATIONS),
        ("return y * (T(1) - y);", "return y * (T(1) + y);", ACTIVATIONS),
        ("return T(1) - y * y;", "return T(1) - y;", ACTIVATIONS),
        ("kAlpha = T(1.6732632423543772848170429916717)", "kAlpha = T(1.6732)", ACTIVATIONS),
        ("splat<T>(T(1)), splat<T>(alpha));", "splat<T>(T(1)), splat<T>(-alpha));", ACTIVATIONS),
        ("splat<T>(T(1)), y + alpha);", "splat<T>(T(1)), splat<T>(alpha));", ACTIVATIONS),
        ("z * (T(4) * w * (w + T(1))", "z * (T(4) * w * (w + T(2))", ACTIVATIONS),
        ("select<T>(z < T(0), Vec<T>{}, z); }  // keeps a NaN", "select<T>(z > T(0), z, Vec<T>{}); }", ACTIVATIONS),
    ],
    "cpp/kernels/vec.inl": [
        ("T(0.54930614433405484570)", "T(0.9)", ACTIVATIONS),
        ("T(0.39894228040143267794)", "T(0.398942)", ACTIVATIONS),
        (" - n * C::kLn2Low;", ";", KERNELS + "'activation or last_place or exponential'"),
        ("return share - share * (lost", "return share + share * (lost", ACTIVATIONS),
    ],
    "cpp/kernels/loss.inl": [
        ("return T(2) * (y - t);", "return T(1) * (y - t);", LOSSES),
        ("splat<T>(T(-1)), y - t)", "splat<T>(T(1)), y - t)", LOSSES),
        ("delta * (e - T(0.5) * delta)", "delta * (e - delta)", LOSSES),
        ("splat<T>(-delta)", "splat<T>(delta)", LOSSES),
        ("select<T>(y < t, splat<T>(-q)", "select<T>(y < t, splat<T>(q)", LOSSES),
        ("return sigmoid<T>(y) - t;", "return sigmoid<T>(y) + t;", LOSSES),
        ("return exp<T>(y) - t;", "return exp<T>(y) + t;", LOSSES),
        ("std::size_t(a.labels[row + i])] -= scales[i];", "std::size_t(a.labels[row + i])] -= a.scale;", LOSSES),
        ("if (weight > 0) total += weight * double(sum<T>(values))", "total += weight * double(sum<T>(values))", LOSSES),
        ("factor = T(double(scale) / normalizer * share);", "factor = T(double(scale) / normalizer);", LOSSES),
    ],
    "cpp/kernels/norm.inl": [
        ("(T(1) - a.momentum) * mean + a.momentum * m.mean", "a.momentum * mean + (T(1) - a.momentum) * m.mean", NORMS),
        ("double(a.rows) / double(a.rows - 1)", "double(a.rows) / double(a.rows)", NORMS),
        ("root<T>(variance + a.eps)", "root<T>(variance)", NORMS),
        ("share * (bias + normalized(r) * weight)", "share * bias", NORMS),
        ("return a.training && a.rows > 1;", "return a.training;", NORMS),
        ("double(a.n) + double(a.eps))", "double(a.n))", NORMS),
        (" - mean_sum - normalized * mean_dot)", " - mean_sum)", NORMS),
        ("- a.mean[r]) * a.inverse_std[r]);", "- a.mean[r]));", NORMS),
    ],
    "cpp/kernels/rows.inl": [
        ("const T survivor = T(1 / (1 - double(a.p)));", "const T survivor = T(1);", DROPOUT),
        ("key1 += 0xBB67AE85u", "key1 += 0xBB67AE86u", DROPOUT),
        ("c.word[2][i] = a.step;", "c.word[2][i] = 0;", DROPOUT),
        ("c.word[3][i] = a.layer;", "c.word[3][i] = 0;", DROPOUT),
        ("return sum<T>(zeros) + rest == T(0);", "return sum<T>(zeros) == T(0);", ROWS),
    ],
    "cpp/kernels/optimizers.inl": [
        ("u.nesterov ? g + u.momentum * v : v", "u.nesterov ? g + v : v", UPDATES),
        ("(T(1) - u.beta1) * g;", "u.beta1 * g;", UPDATES),
        ("return m / (root<T>(v) * u.root_scale + u.eps);", "return m / (root<T>(v) + u.eps);", UPDATES),
        ("u.momentum * load(s.slot2 + i) + d", "load(s.slot2 + i) + d", UPDATES),
        ("select<T>(g < -bound, -bound, g)", "g", UPDATES),
        ("return g + u.weight_decay * w;", "return g - u.weight_decay * w;", UPDATES),
        ("store<T>(w + i, u.shrink * weight", "store<T>(w + i, weight", UPDATES),
        ("double(g[i + l]) * double(g[i + l])", "double(g[i + l] * g[i + l])", UPDATES),
    ],
    "cpp/kernels/top_k.inl": [
        ("<= a.ties ? least - 1", "<= a.ties ? least", TOP_K),
        ("moves = keys_of<T>(g) > bound;", "moves = keys_of<T>(g) >= bound;", TOP_K),
    ],
    "cpp/kernels/tile.inl": [
        ("t.resumes = whole.resumes || k > 0;", "t.resumes = k > 0;", INPUTS),
        ("height + (t < taller ? 1 : 0)", "height", FORWARD),
        ("load(t.bias + m * P + n * kLanes<T>)", "load(t.bias + n * kLanes<T>)", FORWARD),
    ],
    "cpp/kernels/dense.inl": [
        ("t.resumes = row > 0;", "t.resumes = false;", WEIGHTS),
        ("total += part;", "total = part;", WEIGHTS),
        ("if (last) finish(group + panel", "finish(group + panel", INPUTS),
        ("v -= x[b * kPanel<T> + r]", "v += x[b * kPanel<T> + r]", KERNELS + "fused"),
        (" && u.weight_decay == 0", "", KERNELS + "fused"),
    ],
}  # fmt: skip

CORE_FILES = {
    "cpp/core/optimizer.cpp": [
        ("static_cast<double>(step + 1)", "static_cast<double>(step + 2)", TRAJECTORIES),
        ("1 / std::sqrt(1 - std::pow(o.beta2, t))", "1 / std::sqrt(1 - std::pow(o.beta1, t))", TRAJECTORIES),
        ("o.decoupled ? 1 - lr * decay : 1", "o.decoupled ? 1 - decay : 1", TRAJECTORIES),
        ("o.decoupled ? 0 : decay", "decay", TRAJECTORIES),
        ("u->shrink = 1 - (1 - u->shrink) * factor;", "", GROUPS),
    ],
    "cpp/core/stored_update.cpp": [
        ("if (norm > optimizer_.clip_norm)", "if (norm < optimizer_.clip_norm)", TRAJECTORIES),
        ("static_cast<T>(scale * optimizer_.clip_norm / norm)", "static_cast<T>(optimizer_.clip_norm / norm)", OPTIONS),
        ("quota-- > 0) continue;", "quota-- > 1) continue;", TOP_K),
    ],
    "cpp/core/parameter_state.cpp": [
        ("(1 - ema) / (1 - std::pow(ema, steps))", "1 - ema", OPTIONS),
        ("static_cast<double>(n_averaged + 1)", "static_cast<double>(n_averaged + 2)", OPTIONS),
    ],
    "cpp/core/train_step.cpp": [
        ("progress_.n_steps * options_.accumulate + progress_.group.batches", "progress_.n_steps", OPTIONS),
        ("if (group.batches++ == 0) group.first", "++group.batches, group.first", OPTIONS),
        ("progress_.group.batches + 1 >= options_.accumulate", "progress_.group.batches >= options_.accumulate", OPTIONS),
    ],
    "cpp/core/metrics.cpp": [
        ("(2 * true_positives + errors)", "(true_positives + errors)", METRICS),
        ("(below + negatives) / 2", "below", METRICS),
        ("y[c] == y[wanted] && c < wanted", "y[c] == y[wanted] && c > wanted", METRICS),
        ("spread > 0 ? 1 - c.error_squares / spread", "spread > 0 ? c.error_squares / spread", METRICS),
        ("c.target * c.target / weight_", "c.target * c.target", METRICS),
        ("said = y[c] > 0,", "said = y[c] > 0.5,", METRICS),
        ("wanted = t[c] > 0.5", "wanted = t[c] > 0.9", METRICS),
        ("std::sqrt(mean_error(&Column::error_squares))", "mean_error(&Column::error_squares)", METRICS),
    ],
    "cpp/core/random.cpp": [
        ("key0 += 0x9E3779B9u", "key0 += 0x9E3779B8u", NUMERICS + " -k philox"),
        ("std::sqrt(-2 * std::log", "std::sqrt(-1 * std::log", WIDTHS + " -k init"),
        ("d = shape + 1 - 1.0 / 3", "d = shape + 1 - 1.0 / 2", OPTIONS + " -k mixture"),
        ("std::log(uniform()) / shape;", "std::log(uniform());", OPTIONS + " -k mixture"),
        ("random.below(i)", "random.below(n)", NUMERICS + " -k order"),
    ],
    "cpp/core/network.cpp": [
        ("he ? 2 / n_in", "he ? 1 / n_in", WIDTHS),
        ("glorot ? 2 / (n_in + n_out)", "glorot ? 1 / (n_in + n_out)", WIDTHS),
        ("std::sqrt(3 * variance)", "std::sqrt(2 * variance)", WIDTHS),
    ],
    "cpp/core/targets.cpp": [
        ("rows.mix->of(buffer[c], buffer[n_out_ + c])", "rows.mix->of(buffer[n_out_ + c], buffer[c])", OPTIONS),
        ("kSumTolerance = 1e-3", "kSumTolerance = 1e-1", "tests/core/test_bad_input.py -k 'probabilities or sum'"),
    ],
    "cpp/core/trainer.cpp": [
        ("order_[i] = (*data.places)[order_[i]]", "order_[i] = (*data.places)[i]", "tests/training/test_many.py"),
        ("set_epoch(progress().epoch + 1);", "set_epoch(progress().epoch);", TRAINING + " -k shuffling"),
    ],
    "cpp/core/layerwise.cpp": [
        ("std::exp(logarithms / count) / effect", "std::exp(logarithms / count) * effect", LAYERWISE),
        ("costs_.begin() + static_cast<std::ptrdiff_t>(i) + 1", "costs_.begin() + static_cast<std::ptrdiff_t>(i)", LAYERWISE),
    ],
    "cpp/core/plan_layers.cpp": [
        ("add_matrices(copy.columns, copy.gradient, past, input.gradient)",
         "add_matrices(copy.columns, copy.gradient, copy.gradient, input.gradient)", GRADIENTS),
        ("std::copy_n(args.new_running_var, n, variance);", "std::copy_n(args.new_running_mean, n, variance);", TRAJECTORIES),
    ],
    "cpp/core/scaling.cpp": [
        ("std::sqrt(1 + q * q)", "std::sqrt(2 + q * q)", SCALING),
        (" + (value - value);", ";", SCALING),
        ("kLargest = 1e150", "kLargest = 1e170", SCALING),
    ],
    "cpp/core/expansion.cpp": [
        ("std::fill(out, out + std::min(at, bins), 1.0f)", "std::fill(out, out + std::min(at, bins), 0.0f)", EXPANSION),
        ("std::max((z - edges[at])", "std::max((z + edges[at])", EXPANSION),
        ("*to++ = missing ? 1.0f : 0.0f", "*to++ = missing ? 0.0f : 1.0f", EXPANSION),
        ("from += part.ready;", "from += part.slots;", EXPANSION),
    ],
    "cpp/core/top_k.cpp": [
        ("k > counts[bucket]", "k >= counts[bucket]", TOP_K),
    ],
}  # fmt: skip

MANY = "tests/training/test_many.py"
CHOOSER = "tests/core/test_chooser.py"
GROUPS = "tests/selection/test_fit_groups.py"
MANY_FILES = {
    "cpp/core/chooser.hpp": [
        ("cost < kFaster * cost_", "cost > kFaster * cost_", CHOOSER),
        ("kPatience = 25;", "kPatience = 1;", CHOOSER),
        ("cost > kSlower * cost_", "cost > 100 * kSlower * cost_", CHOOSER),
    ],
    "cpp/core/course.cpp": [
        ("score > reference_ + rule.min_delta", "score > reference_", MANY),
        ("++waited_ >= rule.patience", "++waited_ > rule.patience", MANY),
        ("if (settings_.rolls_back) restore(before_);", "", MANY),
        ("steps - (steps > 0)", "steps", MANY),
    ],
    "python/steepest/selection/_scales.py": [
        ("0.9 * most", "9 * most", GROUPS),
        ("values * self.scale[groups] + self.mean[groups]", "values * self.scale[groups]", GROUPS),
    ],
    "python/steepest/selection/_keys.py": [
        ("wanted * len(labels) + places", "wanted + places", GROUPS),
    ],
}  # fmt: skip

PYTHON_FILES = {
    "python/steepest/schedules.py": [
        ("(1 + math.cos(turn)) / 2", "(1 - math.cos(turn)) / 2", SCHEDULES),
        ("self.lr * (t + 1) / self.warmup", "self.lr * t / self.warmup", SCHEDULES),
        ("self.factor ** (step // self._period())", "self.factor ** (step / self._period())", SCHEDULES),
        ("top, end = self.rise * total - 1", "top, end = self.rise * total", SCHEDULES),
        ("if bad > self.patience:", "if bad >= self.patience:", SCHEDULES),
        ("> self.threshold * abs(best)", "> self.threshold", SCHEDULES),
    ],
    "python/steepest/callbacks/stopping.py": [
        ("if self._waited >= self.patience:", "if self._waited > self.patience:", TRAINING + " -k early"),
        ("score > self._reference + self.min_delta", "score > self._reference", TRAINING + " -k early"),
    ],
    "python/steepest/calibration.py": [
        ("np.full((len(labels), n_classes), share / n_classes", "np.full((len(labels), n_classes), share / (n_classes - 1)",
         CALIBRATION),
        ("n_classes / (n_classes - 1)", "1", CALIBRATION),
    ],
    "python/steepest/tables/_scaling.py": [
        ("(block - mean) ** 2", "np.abs(block - mean)", SCALING),
        ("* self.scale + self.mean)", "* self.scale - self.mean)", SCALING),
    ],
    "python/steepest/tables/_robust.py": [
        ("_SENTINELS * everything <= same", "10 * _SENTINELS * everything <= same", SENTINELS),
        ("gap > _APART * width", "gap < _APART * width", SENTINELS),
    ],
    "python/steepest/tables/_normal_scores.py": [
        ("/ times / len(quantiles)", "/ len(quantiles)", SENTINELS),
        ("(np.arange(n) + 0.5) / n", "np.arange(n) / n", SENTINELS),
    ],
    "python/steepest/losses.py": [
        ("gradient = gradient * self.scale", "gradient = gradient / self.scale", LOSS_OF_ONES_OWN),
        ("gradient * (n * share)[:, None]", "gradient * share[:, None]", LOSS_OF_ONES_OWN),
    ],
}  # fmt: skip

MUTANTS = [
    Mutant(file, *change)
    for file, changes in (KERNEL_FILES | CORE_FILES | MANY_FILES | PYTHON_FILES).items()
    for change in changes
]
