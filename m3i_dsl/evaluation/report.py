"""What the report of a run shows.

Takes: numbers, pictures and words. Gives: `ReportData`, plain data without modules or runs. Guarantees: what does not
fit together, such as pictures without a column, is refused when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.evaluation.charts import Panel
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.pictures import Image


@dataclass(frozen=True, eq=False)
class Cloud:
    """An embedding in the plane: points f32 [N, 2], labels i64 [N], and a few samples to be shown as images."""

    title: str
    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    thumbnails: tuple[tuple[int, Image], ...] = ()


@dataclass(frozen=True, eq=False)
class PictureTable:
    """Images in rows and named columns, such as input, prediction and target."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Image, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of `{self.title}` needs {len(self.columns)} images, one for each column")


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything on the page.

    `facts` and `versions` are shown as they are, in order. `targets` are the loss curves (one panel for each target),
    `progress` what was measured during training, `speed` images/s and data wait, `monitors` the collapse monitors with
    their `warnings` in plain words. `left_out` says which samples no result is of. `table_rows` are rows of the
    instantiation table under `table_columns`. Empty parts are left out of the page.
    """

    recipe_name: str
    recipe_text: str
    created: str
    fingerprint: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    comparisons: tuple[Comparison, ...] = ()
    left_out: tuple[str, ...] = ()
    targets: tuple[Panel, ...] = ()
    progress: tuple[Panel, ...] = ()
    speed: tuple[Panel, ...] = ()
    monitors: tuple[Panel, ...] = ()
    warnings: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    clouds: tuple[Cloud, ...] = ()
    pictures: tuple[PictureTable, ...] = ()
    table_columns: tuple[str, ...] = ()
    table_rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
