"""Diagnosis of a network that does not learn: its data, its units and the course of its training."""

from ._diagnose import Diagnosis, diagnose
from .evidence import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
