"""The order in which layers are updated within a step, and factors of their learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._validation import choice, number

UPDATE_ORDERS = ("together", "output_to_input", "input_to_output")
RULES = ("front_first", "equal_effect")

LayerRates = Mapping[str, float] | str | None


def check_layer_rates(given: object, layers: Sequence[str]) -> dict[str, float] | str | None:
    """Return the checked layer_rates of a `Trainer`.

    Parameters
    ----------
    given : object
        The argument: a mapping from layers' names to factors >= 0, the name of a rule, or None.
    layers : sequence of str
        The names of the layers with parameters.

    Raises
    ------
    TypeError
        If `given` is none of these, or a factor is no number.
    ValueError
        If `given` is no rule's name, has a name that is not in `layers`, or a factor below 0 or not finite.
    """
    if given is None:
        return None
    if isinstance(given, str):
        return choice("layer_rates", given, RULES)
    if not isinstance(given, Mapping):
        raise TypeError(
            f"layer_rates is {given!r}: expected a mapping such as {{'0': 0.1}} or one of {', '.join(RULES)}"
        )
    known = {*layers}
    for name in given:
        if name not in known:
            raise ValueError(f"layer_rates has {name!r}, no layer with parameters: expected of {', '.join(layers)}")
    return {name: number(f"layer_rates[{name!r}]", rate, ge=0) for name, rate in given.items()}


def known_rates(rates: dict[str, float] | str | None, layers: Sequence[str]) -> dict[str, float]:
    """Return the factors by layer that are known before any step; those of other layers are 1.

    Parameters
    ----------
    rates : dict of str to float, str or None
        As `check_layer_rates` returned it.
    layers : sequence of str
        The names of the layers with parameters, from the input to the output.
    """
    if rates == "front_first":
        n = len(layers)
        return {name: 2 * (n - place) / (n + 1) for place, name in enumerate(layers)}
    return rates if isinstance(rates, dict) else {}


def cost_metrics(layer_costs: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    """Return the costs before and after the update of each layer, named for the history.

    Parameters
    ----------
    layer_costs : sequence of (str, float, float)
        As `Trainer.layer_costs`.
    """
    costs: dict[str, float] = {}
    for layer, before, after in layer_costs:
        costs |= {f"cost_before_{layer}": before, f"cost_after_{layer}": after}
    return costs
