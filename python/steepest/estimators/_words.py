"""The decisions of a fit, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words(recipe: Mapping[str, Any]) -> str:
    """Return sentences that say what was decided.

    Parameters
    ----------
    recipe : mapping of str to object
        The decisions, as `recipe_` has them.
    """
    n, held_out = recipe["ensemble"], recipe["held_out_rows"]
    widths = "-".join(map(str, recipe["hidden_layer_sizes"])) or "no"
    many = "the mean of whose predictions is taken, " if n > 1 else ""
    text = (
        f"{_count(n, 'network')} with {widths} hidden units, {many}trained on {recipe['training_rows']:,} rows for up "
        f"to {_count(recipe['max_iter'], 'epoch')}, {recipe['batch_size']} rows a step."
    )
    if held_out:
        other = ", other ones for each network," if n > 1 else ""
        text += f" {held_out:,} rows{other} were held out to choose the best epoch."
    if "temperature" in recipe:
        text += f" By these the logits were then divided by {recipe['temperature']:.3g}."
    if "pack" in recipe:
        kinds = ", ".join(
            f"{kind['networks']} with {'-'.join(map(str, kind['hidden']))} units, dropout {kind['dropout']:g}, "
            f"{_embedding(kind)} (loss {kind['held_out_loss']:.4g})"
            for kind in recipe["pack"]
        )
        text += f" Of the kinds of settings that were tried, these were best together on held-out rows: {kinds}."
    if "held_out_loss" in recipe:
        error = recipe["standard_error"]
        text += f" Their mean had a loss of {recipe['held_out_loss']:.4g} there, give or take {error:.1g}."
    return text


def _embedding(kind: Mapping[str, Any]) -> str:
    if not kind["frequencies"]:
        return "numbers as they are"
    return f"{kind['bins'] or 'no'} bins and first frequencies of {kind['frequency_scale']:.2g}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
