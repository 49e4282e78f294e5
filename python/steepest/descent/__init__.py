"""Gradient descent you can see: contributions, slopes, surfaces, checks, records and a diagnosis."""

from ._check import Check, Entry, check
from ._contributions import Contributions, Knob, LayerContribution, WeightGradient, contributions
from ._recorder import Histogram, LayerRecord, Recorder
from ._sensitivity import Sensitivity, sensitivity
from ._slope import Slope, slope
from ._surface import Surface, surface
from .diagnosis import Diagnosis, Finding, diagnose

__all__ = [
    "Check",
    "Contributions",
    "Diagnosis",
    "Entry",
    "Finding",
    "Histogram",
    "Knob",
    "LayerContribution",
    "LayerRecord",
    "Recorder",
    "Sensitivity",
    "Slope",
    "Surface",
    "WeightGradient",
    "check",
    "contributions",
    "diagnose",
    "sensitivity",
    "slope",
    "surface",
]
