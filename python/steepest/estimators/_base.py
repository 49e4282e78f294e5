"""The base of the two estimators: a fit, and what it leaves behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names, check_is_fitted, validate_data

from .._arrays import check_input, is_frame, reason_of
from ..network import Network, dense_names
from ..stream import Stream
from ..tables import TableEncoder
from ..tables._frames import in_memory
from ._errors import located, refuse_too_large, warn_caller
from ._input import (
    Rows,
    eval_set_parts,
    has_gaps,
    has_stand_ins,
    is_of_array,
    merge_if_tiny,
    numbers_of,
    read_rows,
    read_weight,
    takes_encoder,
)
from ._kinds import kinds_on_few_rows
from ._model import K, Model
from ._networks import NetworkMaker, sklearn_networks
from ._online import FEWEST_TO_SCALE_BY, Prepared, Seen, adapt
from ._pack import Pack
from ._params import Parameters, Settings
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._reporting import CallbackSupportMixin, FitReporter, with_callbacks
from ._saving import save
from ._shared import Once, Shared
from ._solver import Solver
from ._split import Split
from ._streaming import solve_stream
from ._trainings import FitResult, Progress, Trainings
from ._words import in_words

E = TypeVar("E", bound="BaseMLP[Any]")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Begun(Generic[K]):
    """A fit of which all is done but the trainings.

    Parameters
    ----------
    task, preprocessor
        Of the model to come.
    trainings : Trainings
        What is to be run.
    seen : Seen, optional
        The rows that scales were learned from.
    """

    task: K
    preprocessor: Preprocessor
    trainings: Trainings
    seen: Seen | None

    def complete(self, result: FitResult) -> tuple[Model[K], FitResult]:
        """Return the model, and the outcome of the trainings with all that goes with it."""
        result = replace(result, progress=replace(result.progress, seen=self.seen))
        return Model(self.task, self.preprocessor, result.networks), result

    def now(self) -> Model[K]:
        """Return the model by the networks as they are at this moment."""
        trainers = [fit.trainer for fit in self.trainings.fits]
        networks = [trainer.ema_network if trainer.ema else trainer.network for trainer in trainers]
        return Model(self.task, self.preprocessor, networks)


@dataclass(eq=False, repr=False)
class BaseMLP(Parameters, CallbackSupportMixin, BaseEstimator, Generic[K]):  # type: ignore[misc]
    """The estimator without its task."""

    _losses: ClassVar[tuple[str, ...]]  # by name
    _numeric: ClassVar[bool]  # whether targets are numbers

    @with_callbacks
    def fit(self: E, X: Any, y: Any = None, sample_weight: Any = None, eval_set: Any = None) -> E:
        """Train anew, or from the last weights with `warm_start`.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features), or Stream
            The rows. A sparse matrix becomes dense batch by batch. A stream brings targets and weights along, and is
            read once for what the encoder and the scales are learned from (a sample of 100,000 rows at most) and once
            for each epoch; of its rows up to 50,000, a tenth at most, are held out.
        y : array of shape (n,) or (n, n_targets)
            The numbers to predict; or labels of any type, (n,), or indicators of several labels a row, (n, n_labels).
            None with a stream that has them.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0; a row of weight 0 is no row. None: all are 1.
        eval_set : (X, y) or (X, y, sample_weight), default=None
            Rows to choose the best epoch by, instead of held-out ones; see `eval_metric`.

        Returns
        -------
        MLPClassifier or MLPRegressor
            This one.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, two do not go together, or X, y or a weight cannot be read: a shape that
            does not fit, a value that is missing, not finite or of another kind. The estimator is as before then.
        DivergedError
            If the loss or a weight is no longer finite: the rate is too high, or the data is not scaled. The estimator
            is as before then.
        KeyboardInterrupt
            By Ctrl-C. The estimator has what was trained in full epochs until then, or is as before if there was none.
        """
        return self._fit(X, y, sample_weight, eval_set)

    def _fit(
        self: E, X: Any, y: Any, sample_weight: Any, eval_set: Any, *, classes: Any = None, online: bool = False
    ) -> E:
        """Fit, or leave the estimator as it was: what others see of it changes at once, when all is done."""
        reporter = None if online else FitReporter.begin(self, X, y, sample_weight)
        work = self._twin(self.__dict__.copy())
        if reporter is not None:
            reporter.work, work._reporter = work, reporter
        if isinstance(X, Stream):
            if online:
                raise TypeError("X is a Stream: partial_fit expects rows, and fit takes a stream")
            model, result = solve_stream(work, X, y, sample_weight, eval_set)
            name = X.target
        else:
            model, result = work._solve(X, y, sample_weight, eval_set, classes, online)
            name = getattr(y, "name", None)
        self._become(work, model, result, name)
        if result.interrupt is not None:
            raise result.interrupt
        if reporter is not None:
            reporter.end()
        return self

    def _become(self, work: E, model: Model[K], result: FitResult, target_name: Any) -> None:
        """Take over what a fit of `work`, a twin, has found; the parameters stay."""
        result = replace(result, recipe=result.recipe | {"in_words": in_words(result.recipe)})
        work._publish(model, result, target_name if isinstance(target_name, str) else None)
        passing = (*self._get_param_names(), "_reporter")
        fitted = {key: value for key, value in vars(work).items() if key not in passing}
        kept = {key: vars(self)[key] for key in self._get_param_names()}
        self.__dict__ = fitted | kept

    def _twin(self: E, attributes: dict[str, Any]) -> E:
        """Return an estimator of these attributes."""
        twin = object.__new__(type(self))
        twin.__dict__ = attributes
        return twin

    def _settings(self) -> Settings:
        """Return the checked parameters, with what reports the fit to scikit-learn's callbacks."""
        settings = Settings.of(self.get_params(deep=False), self._losses)
        reporter = vars(self).get("_reporter")
        return settings if reporter is None else replace(settings, reporter=reporter)

    def _solve(
        self, X: Any, y: Any, sample_weight: Any, eval_set: Any, classes: Any, online: bool
    ) -> tuple[Model[K], FitResult]:
        """Read, plan, split, preprocess and train; nothing is published yet."""
        begun = self._begin(X, y, sample_weight, eval_set, classes, online)
        return begun.complete(begun.trainings.run())

    def _begin(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: Any = None,
        classes: Any = None,
        online: bool = False,
        shared: Shared | None = None,
    ) -> Begun[K]:
        """Read, plan, split and preprocess; nothing is trained yet. What is `shared` is by fits on the same rows."""
        shared, began = shared or Shared(), time.monotonic()
        settings = self._settings()
        fitted = self._model if self.__sklearn_is_fitted__() and (settings.warm_start or online) else None
        rows, task, eval_rows, places, as_table = self._read_all(
            settings, fitted, X, y, sample_weight, eval_set, classes, online=online
        )

        # plan
        rows, tiny = merge_if_tiny(rows, allowed=not (settings.like_sklearn or online))
        random = check_random_state(settings.random_state)
        plan = FitPlan.decide(settings, rows, random, fitted, tiny=tiny, online=online, began=began)
        networks = None if fitted is None else fitted.networks
        if networks is None and settings.like_sklearn:  # which draws its weights before it splits
            networks = sklearn_networks(plan, task, rows.x.shape[1], random)

        # split
        split = Split.of(plan, task, rows, eval_rows, random)
        plan = plan.with_smoothing(classes=task.is_of_single_labels, held_out=split.holds_out)

        # preprocess
        before = Progress() if fitted is None else self._progress
        last = None if fitted is None else replace(fitted, task=task)
        ways = (plan.way_of_splitting(len(rows)), plan.way_of_reading, as_table)
        found, features = self._preprocess(
            plan, task, split.fitted, last, networks, lambda make: shared.of(ways, make), as_table=as_table
        )
        preprocessor, task, networks, trainers, _ = found
        before = replace(before, trainers=trainers)
        if plan.dtype == np.float32 and self._numeric:
            refuse_too_large("y", task.scaled(rows.y), places)

        # solve
        solver, n = Solver(plan, task, preprocessor, before), split.n_training
        parts = split.parts(task, preprocessor, features, plan, lambda make: shared.of((*ways, "held out"), make))
        if networks is not None:
            trainings = solver.begin(networks, parts, n)
        else:
            make = NetworkMaker(plan, task, features, preprocessor)
            tries = plan.tries_kinds and split.holds_out
            is_pack = tries and plan.recipe.frequencies > 0
            pack = Pack.within_time(solver, make, parts, n) if is_pack else None
            if pack is not None:
                trainings = Trainings([], lambda *_: pack.run())
            else:
                others = kinds_on_few_rows(plan, len(rows), make.n_embedded) if tries and not is_pack else []
                more = [(other, make(other, other.seeds)) for other in others]
                trainings = solver.begin(make(plan, plan.seeds), parts, n, more)
        return Begun(task, preprocessor, trainings, found.seen)

    def _read_all(
        self,
        settings: Settings,
        fitted: Model[K] | None,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: Any,
        classes: Any,
        *,
        online: bool,
    ) -> tuple[Rows, K, Rows | None, NDArray[np.intp], bool]:
        """Return rows, the task, the rows of `eval_set`, places of the rows among those given, and as `_read`."""
        X = in_memory("X", X)
        encode = "numbers" if settings.like_sklearn else settings.encode  # as scikit-learn does
        x, given, as_table = self._read(X, y, fitted, encode, online=online)
        weight = read_weight(sample_weight, given)
        task = self._task_of(given, classes, settings, None if fitted is None else fitted.task, online=online)
        rows = Rows(x, task.encode(given), weight)
        rows = replace(rows, weight=task.weighted(rows.y, weight, settings.class_weight))
        gaps = encode != "numbers" if fitted is None else _may_have_gaps(fitted)
        frames = as_table and is_frame(x)
        eval_rows = None if eval_set is None else self._read_eval_set(eval_set, task, as_table=frames, gaps=gaps)
        if settings.eval_metric and eval_rows is None and not online and settings.early_stopping is False:
            raise ValueError("eval_metric is given with early_stopping=False: expected an eval_set with it")
        places = np.arange(len(rows)) if rows.weight is None else np.flatnonzero(rows.weight)
        if len(places) < len(rows):  # a row without weight is no row
            rows = rows.at(places)
        return rows, task, eval_rows, places, as_table

    def _read(
        self, X: Any, y: Any, fitted: Model[K] | None, encode: str | None, *, online: bool
    ) -> tuple[Any, NDArray[Any], bool]:
        """Check rows and targets; tell too whether an encoder makes features of the rows.

        Arrays go through one where some of their numbers stand for missing ones.
        """
        if fitted is None:
            as_table = takes_encoder(X, encode, goes_on=online)
            of_array = gaps = False
        else:
            as_table = fitted.preprocessor.encoder is not None
            of_array, gaps = is_of_array(self), _may_have_gaps(fitted)
        x, given = read_rows(
            self, X, y, as_table=as_table and not of_array, numeric=self._numeric, reset=fitted is None, gaps=gaps
        )
        if fitted is None and not as_table and encode != "numbers" and has_stand_ins(x):
            x, as_table = X if is_frame(X) else x, True
        return x.toarray() if as_table and hasattr(x, "tocsr") else x, given, as_table

    def _preprocess(
        self,
        plan: FitPlan,
        task: K,
        rows: Rows,
        last: Model[K] | None,
        networks: list[Network] | None,
        once: Once,
        *,
        as_table: bool,
    ) -> tuple[Prepared, Any]:
        """Learn from training rows how they are encoded and scaled, or let the last fit's way follow them.

        Their features are returned too; `once` may know what another fit has learned.
        """
        if plan.settings.like_sklearn:
            preprocessor = Preprocessor(plan.dtype) if last is None else last.preprocessor
            found = Prepared(preprocessor, task, networks, self._progress.trainers if last else None, None)
            return found, preprocessor.features(rows.x)
        if last is not None:
            found = adapt(last, self._progress.trainers, self._seen(), rows)
            following = found.preprocessor
            return found, following.features(rows.x) if plan.online else following.training_features(rows)
        preprocessor, features = once(
            lambda: Preprocessor.fit(
                rows, plan.dtype, bins=plan.recipe.bins, as_table=as_table,
                # The quartiles of a first batch, which may have few rows, tell less than its mean and deviation.
                robust=plan.settings.encode != "numbers" and (not plan.online or (as_table and has_stand_ins(rows.x))),
                scales=not plan.online or len(rows) >= FEWEST_TO_SCALE_BY,
            )
        )  # fmt: skip
        task = task.scaled_by(rows.y, rows.weight)
        goes_on = plan.settings.warm_start or plan.online
        seen = Seen.first(preprocessor, task, rows) if goes_on else None
        return Prepared(preprocessor, task, None, None, seen), features

    def _seen(self) -> Seen:
        """Return an account of the rows of all fits so far; of a fit that kept none, one that suits its scales."""
        progress = self._progress
        if progress.seen is not None:
            return progress.seen
        one_fit = self.history_.n_epochs == progress.n_iter  # which saw the same rows in each epoch
        rows = progress.t // progress.n_iter if one_fit and progress.n_iter else progress.t
        return Seen.of(self._model.preprocessor, self._model.task, rows, self.n_features_in_)

    def _task_of(self, y: NDArray[Any], classes: Any, settings: Settings, last: K | None, *, online: bool) -> K:
        """Learn the task from the targets, or return that of the last fit, which they must suit then."""
        raise NotImplementedError

    def _read_eval_set(self, eval_set: Any, task: K, *, as_table: bool, gaps: bool) -> Rows:
        x, y, weight = eval_set_parts(eval_set)
        try:
            x, y = read_rows(
                self, in_memory("X", x), y, as_table=as_table, numeric=self._numeric, reset=False, gaps=gaps
            )
            task.check_same(y)
            return Rows(x, task.encode(y), read_weight(weight, y))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"eval_set: {reason_of(error)}") from None

    def _publish(self, model: Model[K], result: FitResult, target_name: str | None) -> None:
        """Take in what a fit has found: the one place that sets attributes, beside the names and number of features."""
        progress = result.progress
        self._model, self._progress, self.target_name_ = model, progress, target_name
        for network in model.networks:
            network._owner = type(self).__name__
        self.recipe_, self.history_, self.histories_ = result.recipe, result.history, result.histories
        self.n_iter_, self.t_ = progress.n_iter, progress.t
        self.loss_, self.best_loss_, self.validation_scores_ = result.loss, result.best_loss, result.scores
        optional = {"loss_curve_": progress.loss_curve or None, "best_validation_score_": result.best_score}
        for name, value in optional.items():
            self.__dict__.pop(name, None)
            if value is not None:
                setattr(self, name, value)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one safetensors file; `steepest.load` reads it.

        It holds all that predicting needs (encoder, scales, every network, labels), the parameters, histories and
        counters; nothing is pickled. Functions among the parameters are kept by name alone, so that predicting goes on
        and another fit asks for them; callbacks and the state of a RandomState are left out. The optimizer's running
        means are not kept either: a fit that goes on begins with the weights.

        Parameters
        ----------
        path : path
            File to write. It is written beside `path` and renamed: a save that fails leaves an older file as it was.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there was no fit.
        ValueError
            If labels are neither text nor numbers nor true and false, or a weight is not finite.
        OSError
            If `path` is a folder or a device, its folder does not exist, or the file cannot be written there.
        """
        moment = self._twin(self.__dict__)
        check_is_fitted(moment)
        save(moment, path)

    # --- What a fit leaves behind ---

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    @property
    def encoder_(self) -> TableEncoder | None:
        """Reads its tables, and describes their columns; None where it learned from an array."""
        return self._fitted.preprocessor.encoder

    @property
    def networks_(self) -> list[Network]:
        """The networks, all of an ensemble."""
        return self._fitted.networks

    @property
    def network_(self) -> Network:
        """The first network."""
        return self._fitted.networks[0]

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weights of the dense layers, (n_in, n_out) each: those of the first network, for scaled features."""
        parameters = self.network_.parameters
        return [parameters[f"{name}.weight"] for name in dense_names(self.network_)]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The biases of the dense layers, (n_out,) each."""
        parameters = self.network_.parameters
        return [parameters[f"{name}.bias"] for name in dense_names(self.network_)]

    @property
    def n_layers_(self) -> int:
        """Dense layers of a network, and one for the input."""
        return len(dense_names(self.network_)) + 1

    @property
    def n_outputs_(self) -> int:
        """Outputs of a network."""
        return self._fitted.task.n_outputs

    @property
    def out_activation_(self) -> str:
        """The link between outputs and predictions: "softmax", "logistic", "identity" or "exp"."""
        return self._fitted.task.out_activation

    @property
    def _fitted(self) -> Model[K]:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return self._model

    # --- Predicting ---

    def _predict(self, x: Any) -> tuple[K, NDArray[Any]]:
        """Return the task, and the outputs of each network for the rows, (networks, n, n_outputs)."""
        own = self.__dict__
        # The usual case costs no more than these checks: the network itself refuses what is not finite.
        if (
            type(x) is np.ndarray and x.dtype.char in "fd" and x.ndim == 2 and "_model" in own
            and (model := own["_model"]).preprocessor.encoder is None and x.shape[1] == own["n_features_in_"] and len(x)
        ):  # fmt: skip
            if "feature_names_in_" in own:  # scikit-learn's own words, for a hundredth of its time
                name = type(self).__name__
                warn_caller(f"X does not have valid feature names, but {name} was fitted with feature names")
            try:
                return model.task, model.of_numbers(x)
            except ValueError:
                pass  # to be said in scikit-learn's words, below
        if "_model" in own and (encoder := (model := own["_model"]).preprocessor.encoder) is not None:
            named = "feature_names_in_" in own and isinstance(x, np.ndarray)  # which is warned of below
            features = None if named else encoder.transform_one(x)
            if features is not None:
                return model.task, model.of_features(features)
        moment = self._twin(own)  # a fit gives this estimator other attributes meanwhile, and leaves these alone
        check_is_fitted(moment)
        model = moment._model
        x = in_memory("X", x)
        of_array = is_of_array(moment)
        if model.preprocessor.encoder is not None and not of_array:
            if not is_frame(x) and not isinstance(x, Mapping):
                x = x if isinstance(x, np.ndarray) else np.array(x, dtype=object)
                _check_feature_names(moment, x, reset=False)
            return model.task, model.outputs(x)
        given = x
        if (of_array or model.preprocessor.fill is not None) and has_gaps(x):
            x = numbers_of(moment, x)
            return model.task, model.outputs(x) if of_array else model.of_numbers(model.preprocessor.filled(x))
        check_input("X", x)
        try:
            x = validate_data(
                moment, x, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False,
                ensure_min_samples=0,
            )  # fmt: skip
        except (TypeError, ValueError, OverflowError) as error:
            raise located(error, X=given) from None
        return model.task, model.outputs(x.toarray() if of_array and hasattr(x, "toarray") else x)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = True
        if tags.regressor_tags is not None:
            tags.target_tags.multi_output = True
        return tags


def _may_have_gaps(model: Model[Any]) -> bool:
    """Tell whether rows of numbers, as a data frame has them, may have missing ones."""
    return model.preprocessor.encoder is not None or model.preprocessor.fill is not None


def _can_go_on(estimator: Any) -> bool:
    """Tell whether an estimator has partial_fit; AttributeError where it has not."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is not available with solver='lbfgs'")
    return True


where_it_can_go_on: Callable[[F], F] = available_if(_can_go_on)  # a method that other estimators have not
