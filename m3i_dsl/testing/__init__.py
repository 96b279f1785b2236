"""Testing objectives: properties of a recipe, equivalence of graphs, and strategies for random recipes.

run.py           all properties of a program; `m3ic test`
properties/      one file each
tiny.py          a recipe made small
case.py          what a property is tested on
equivalence.py   whether two graphs are the same computation
strategies/      hypothesis strategies; needs the extra `testing`
"""

from m3i_dsl.testing.case import Case, case_of
from m3i_dsl.testing.equivalence import Observation, assert_equivalent, observe
from m3i_dsl.testing.outcome import Failed, NotApplicable, Outcome, Property, outcome_of
from m3i_dsl.testing.properties import PROPERTIES
from m3i_dsl.testing.run import check_properties
from m3i_dsl.testing.tiny import tiny

__all__ = [
    "PROPERTIES",
    "Case",
    "Failed",
    "NotApplicable",
    "Observation",
    "Outcome",
    "Property",
    "assert_equivalent",
    "case_of",
    "check_properties",
    "observe",
    "outcome_of",
    "tiny",
]
