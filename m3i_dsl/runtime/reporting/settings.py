"""What a user asked to see, and what rates are measured against.

Takes: the command line and the compiler's numbers. Gives: `Reporting`. Guarantees: nothing in it changes the trained
weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.runtime.reporting.resources import Arithmetic


@dataclass(frozen=True, slots=True)
class Reporting:
    """`sinks` None: TensorBoard where it is installed. `arithmetic` None: no MFU. `workers` None: no data workers to
    name in a warning. `seconds`: between two lines of the plain display.
    """

    sinks: tuple[str, ...] | None = None
    arithmetic: Arithmetic | None = None
    workers: int | None = None
    seconds: float = 10.0
