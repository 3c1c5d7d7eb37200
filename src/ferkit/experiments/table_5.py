"""Table 5: learning rate schedule of Model 3.

Run:      ferkit reproduce table-5 --data CSV [--seeds N]
Costs:    2 rows; the first is also a row of Tables 3 and 6.
Expected: OneCycleLR ahead.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL3

_BASE = replace(MODEL3, lr=0.02, loss="cross_entropy")

TABLE = Table(
    name="table-5",
    title="Table 5: learning rate schedule of Model 3",
    source="the report, section 3.5, Table 5",
    unclear=(
        "The report does not say over how many epochs CosineAnnealingLR goes down: over all ten, to 0.",
        *table_1.TABLE.unclear[1:],
    ),
    claims=(Claim(text="OneCycleLR is better than CosineAnnealingLR.", pairs=(("onecycle", "cosine"),)),),
    rows=(
        Row(slug="onecycle", label="OneCycleLR", recipe=_BASE, accuracy=67.7, loss=0.887),
        Row(
            slug="cosine",
            label="CosineAnnealingLR",
            recipe=replace(_BASE, scheduler="cosine"),
            accuracy=65.9,
            loss=0.901,
        ),
    ),
)
