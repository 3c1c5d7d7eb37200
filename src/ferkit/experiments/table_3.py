"""Table 3: optimizer and learning rate of Model 3.

Run:      ferkit reproduce table-3 --data CSV [--seeds N]
Costs:    10 rows of 10 epochs; on two cores about four hours a row, so for a GPU.
Expected: SGD ahead of Adam; little difference between the rates.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace
from typing import Literal

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL3

_NAMES = {"adam": "Adam", "sgd": "SGD"}

_REPORTED: dict[tuple[Literal["adam", "sgd"], float], tuple[float, float]] = {
    ("adam", 0.0001): (64.2, 0.955),
    ("adam", 0.0005): (64.1, 0.963),
    ("adam", 0.001): (65.7, 0.923),
    ("adam", 0.0015): (64.0, 0.961),
    ("adam", 0.02): (64.2, 0.954),
    ("sgd", 0.002): (66.7, 0.897),
    ("sgd", 0.005): (67.8, 0.880),
    ("sgd", 0.01): (67.1, 0.890),
    ("sgd", 0.015): (67.8, 0.892),
    ("sgd", 0.02): (67.8, 0.876),
}

TABLE = Table(
    name="table-3",
    title="Table 3: optimizer and learning rate of Model 3",
    source="the report, section 3.3, Table 3",
    unclear=(
        "The report gives no scheduler here: OneCycleLR, with the rate as its peak.",
        "It gives no weight decay of Adam: none.",
        *table_1.TABLE.unclear[1:],
    ),
    claims=(
        Claim(
            text="Adam's accuracy is higher at 0.001 than at 0.0001.",
            pairs=(("adam-0.001", "adam-0.0001"),),
        ),
        Claim(
            text="Adam's accuracy rises with the rate up to 0.001, at each step.",
            pairs=(("adam-0.001", "adam-0.0005"), ("adam-0.0005", "adam-0.0001")),
            kind="each",
        ),
        Claim(
            text="Above 0.001 Adam's accuracy drops.",
            pairs=(("adam-0.001", "adam-0.0015"), ("adam-0.001", "adam-0.02")),
            kind="each",
        ),
        Claim(
            text="SGD's accuracy is higher at 0.02 than at 0.002.",
            pairs=(("sgd-0.02", "sgd-0.002"),),
        ),
        Claim(
            text="SGD's accuracy rises with the rate, at each step.",
            pairs=(
                ("sgd-0.005", "sgd-0.002"),
                ("sgd-0.01", "sgd-0.005"),
                ("sgd-0.015", "sgd-0.01"),
                ("sgd-0.02", "sgd-0.015"),
            ),
            kind="each",
        ),
        Claim(
            text="SGD is generally better than Adam.",
            pairs=tuple(
                (f"sgd-{sgd}", f"adam-{adam}")
                for sgd, adam in zip(
                    (0.002, 0.005, 0.01, 0.015, 0.02), (0.0001, 0.0005, 0.001, 0.0015, 0.02), strict=True
                )
            ),
        ),
    ),
    rows=tuple(
        Row(
            slug=f"{optimizer}-{rate}",
            label=f"{_NAMES[optimizer]}, rate {rate}",
            recipe=replace(MODEL3, optimizer=optimizer, lr=rate),
            accuracy=accuracy,
            loss=loss,
        )
        for (optimizer, rate), (accuracy, loss) in _REPORTED.items()
    ),
)
