"""Diseases of a phantom: what can be placed, and how each one changes the HU of a person."""

from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import AMOUNTS, KINDS, SEVERITIES, Placed

__all__ = ["AMOUNTS", "KINDS", "SEVERITIES", "Lesion", "Placed"]
