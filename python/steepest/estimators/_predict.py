"""How the estimators predict."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names, check_is_fitted, validate_data

from .._arrays import is_frame
from .._blocks import block_rows, blocks
from ..network import Network
from ._errors import located, refuse_masked
from ._input import Reads


class Predicts(Reads):
    """The part of an estimator that predicts."""

    networks_: list[Network]
    n_outputs_: int

    def _outputs(self, x: Any) -> NDArray[Any]:
        """Return what each network says of the rows, (networks, n, n_outputs)."""
        own = vars(self)
        # The usual case costs no more than these checks: the network itself refuses what is not finite.
        if (
            type(x) is np.ndarray and x.dtype.char in "fd" and x.ndim == 2 and "network_" in own
            and own["_encoder"] is None and x.shape[1] == self.n_features_in_ and len(x)
        ):  # fmt: skip
            if "feature_names_in_" in own:  # scikit-learn's own words, for a hundredth of its time
                name = type(self).__name__
                warnings.warn(
                    f"X does not have valid feature names, but {name} was fitted with feature names", stacklevel=3
                )
            try:
                return self._networks_say(x)
            except ValueError:
                pass  # to be said in scikit-learn's words, below
        check_is_fitted(self)
        if self._encoder is not None:
            if not is_frame(x):
                x = x if isinstance(x, np.ndarray) else np.array(x, dtype=object)
                _check_feature_names(self, x, reset=False)
            return self._networks_say(self._encoder.transform(x), scaled=True)
        given = x
        refuse_masked(X=x)
        try:
            x = validate_data(self, x, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        except ValueError as error:
            raise located(error, X=given) from None
        if hasattr(x, "tocsr"):
            return np.concatenate([self._networks_say(block) for _, block in blocks(x.tocsr())], axis=1)
        return self._networks_say(x)

    def _networks_say(self, x: NDArray[Any], scaled: bool = False) -> NDArray[Any]:
        networks, scale, n = self.networks_, None if scaled else self._scale, len(x)
        outputs = np.empty((len(networks), n, self.n_outputs_), self._dtype)
        if n == 1 and scale is not None:
            x, scale = scale.transform_float64(x), None  # a single row is left to the networks to round
        if scale is None:
            for i, network in enumerate(networks):
                network.predict(x, outputs[i])
            return outputs
        size = block_rows(x)
        for start in range(0, n, size):
            rows = scale.transform(x[start : start + size], self._dtype)
            for i, network in enumerate(networks):
                network.predict(rows, outputs[i, start : start + size])
        return outputs
