"""Table 1: number of filters and kernel size of Model 1.

Run:      ferkit reproduce table-1 --data CSV [--seeds N]
Costs:    6 rows; version 1 kernel 3 takes about 5 minutes on two cores.
Expected: more filters, better; no clear effect of the kernel. The variations repeat every row at ten times the rate.
Unclear:  batch size and pixel scaling; see TABLE.unclear. Two cells are damaged in the source and read from the notes.
"""

from dataclasses import replace
from typing import Any

from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL1

_WIDTHS = {1: (16, 32, 64, 128), 2: (32, 64, 128, 256), 3: (64, 128, 256, 512)}


def _row(version: int, kernel: int, accuracy: float, loss: float) -> Row:
    options: dict[str, Any] = {"widths": _WIDTHS[version], "kernel": kernel, "dropout": 0.1}
    return Row(
        slug=f"filters-{version}-kernel-{kernel}",
        label=f"Filters version {version}, kernel size {kernel}",
        recipe=replace(MODEL1, options=options),
        accuracy=accuracy,
        loss=loss,
    )


def _at_a_higher_rate(row: Row) -> Row:
    return replace(
        row, slug=f"{row.slug}-lr-0.02", label=f"{row.label}, peak rate 0.02", recipe=replace(row.recipe, lr=0.02)
    )


_ROWS = (
    _row(1, 3, 59.0, 1.076),
    _row(1, 5, 59.0, 1.076),
    _row(2, 3, 63.5, 1.008),
    _row(2, 5, 58.9, 1.050),
    _row(3, 3, 63.7, 1.001),
    _row(3, 5, 61.3, 1.014),
)


TABLE = Table(
    name="table-1",
    title="Table 1: number of filters and kernel size of Model 1",
    source="the report, section 3.1, Table 1",
    unclear=(
        "The report gives no batch size here: 64.",
        "It gives no pixel scaling: to [0, 1].",
        "It gives no parameters of the augmentations: the defaults of Albumentations in 2021.",
        "It does not say whether its numbers are of the last or of the best epoch: ours are of the last.",
    ),
    remarks=(
        "At the peak rate of 0.002 that the report states, Model 1 has not learned enough after ten epochs; "
        "[Table 2](table-2.md) shows what a higher rate does, and why the stated one was probably not in force.",
    ),
    claims=(
        Claim(
            text="More filters perform better: version 3 than version 1.",
            pairs=tuple((f"filters-3-kernel-{k}", f"filters-1-kernel-{k}") for k in (3, 5)),
        ),
        Claim(
            text="More filters perform better, at each step.",
            pairs=tuple((f"filters-{n + 1}-kernel-{k}", f"filters-{n}-kernel-{k}") for k in (3, 5) for n in (1, 2)),
            kind="each",
        ),
        Claim(
            text="The kernel size makes no difference (the report says that no conclusion can be drawn).",
            pairs=tuple((f"filters-{n}-kernel-5", f"filters-{n}-kernel-3") for n in (1, 2, 3)),
            kind="none",
        ),
    ),
    rows=_ROWS,
    variations=tuple(_at_a_higher_rate(row) for row in _ROWS),
)
