"""Passes: from a graph to an equal graph that is faster to compute. One file each; pipeline.py has their order."""

from m3i_dsl.passes.model import Pass, Tier
from m3i_dsl.passes.pipeline import NAMES, PIPELINE, Stage, UnknownPass, optimize, passes_named, run

__all__ = ["NAMES", "PIPELINE", "Pass", "Stage", "Tier", "UnknownPass", "optimize", "passes_named", "run"]
