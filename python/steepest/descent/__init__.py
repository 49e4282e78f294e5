"""Gradient descent you can see: contributions, slopes, surfaces, checks, records and a diagnosis."""

from ._check import Check, Entry, check
from ._contributions import Contributions, Knob, LayerContribution, contributions
from ._diagnosis import Diagnosis, diagnose
from ._evidence import Finding
from ._recorder import Histogram, LayerRecord, Recorder
from ._sensitivity import Sensitivity, sensitivity
from ._slope import Slope, slope
from ._surface import Surface, surface

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
    "check",
    "contributions",
    "diagnose",
    "sensitivity",
    "slope",
    "surface",
]
