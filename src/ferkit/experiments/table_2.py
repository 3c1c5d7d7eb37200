"""Table 2: the three models beside each other.

Run:      ferkit reproduce table-2 --data CSV [--seeds N]
Costs:    on two cores about 5 minutes for Model 1, half an hour for Model 2, hours for Model 3.
Expected: Model 3 far ahead of the other two.
Unclear:  batch size and pixel scaling; see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL1, MODEL2, MODEL3

TABLE = Table(
    name="table-2",
    title="Table 2: the three models, without dropout",
    source="the report, section 3.2, Table 2",
    picture=("Figure 1: validation loss of the models, seed 0", "../images/figure-1.png"),
    unclear=table_1.TABLE.unclear,
    remarks=(
        "At the peak rate of 0.002 that the report states, Models 1 and 2 have not learned enough after ten epochs: "
        "their training loss is still high. The variations below change one thing each, first of all the rate, "
        "tenfold; a dash is a run that is still owed.",
        "The report's own Table 3 gives Adam the same accuracy at 0.0001 and at 0.02, and SGD nearly the same from "
        "0.002 to 0.02. So the rates it states were probably not in force, as happens where OneCycleLR is given a "
        "max_lr of its own.",
    ),
    claims=(
        Claim(
            text="Model 3 is better than Models 1 and 2.",
            pairs=(("model-3", "model-1"), ("model-3", "model-2")),
            kind="each",
        ),
    ),
    variations=(
        Row(
            slug="model-1-lr-0.02",
            label="Model 1, peak rate 0.02",
            recipe=replace(MODEL1, lr=0.02),
            accuracy=61.2,
            loss=1.061,
        ),
        Row(
            slug="model-2-lr-0.02",
            label="Model 2, peak rate 0.02",
            recipe=replace(MODEL2, lr=0.02),
            accuracy=60.1,
            loss=1.074,
        ),
        Row(
            slug="model-1-float32",
            label="Model 1, float32",
            recipe=replace(MODEL1, precision="float32"),
            accuracy=61.2,
            loss=1.061,
        ),
        Row(
            slug="model-1-no-augmentation",
            label="Model 1, no augmentation",
            recipe=replace(MODEL1, augmentation="none"),
            accuracy=61.2,
            loss=1.061,
        ),
    ),
    rows=(
        Row(slug="model-1", label="Model 1 (version 1, kernel 3)", recipe=MODEL1, accuracy=61.2, loss=1.061),
        Row(slug="model-2", label="Model 2", recipe=MODEL2, accuracy=60.1, loss=1.074),
        Row(slug="model-3", label="Model 3", recipe=MODEL3, accuracy=67.4, loss=0.903),
    ),
)
