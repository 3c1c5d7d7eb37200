"""Table 2: the three models beside each other.

Run:      ferkit train --recipe model1 | model2 | model3 --data CSV --out DIR
Costs:    on two cores about 5 minutes for Model 1, half an hour for Model 2, hours for Model 3.
Expected: Model 3 far ahead of the other two.
Unclear:  batch size and pixel scaling; see TABLE.unclear.
"""

from ferkit.experiments import table_1
from ferkit.report.table import Row, Table
from ferkit.training.recipes import MODEL1, MODEL2, MODEL3

TABLE = Table(
    name="table-2",
    title="Table 2: the three models, without dropout",
    source="the report, section 3.2, Table 2",
    unclear=table_1.TABLE.unclear,
    rows=(
        Row(slug="model-1", label="Model 1 (version 1, kernel 3)", recipe=MODEL1, accuracy=61.2, loss=1.061),
        Row(slug="model-2", label="Model 2", recipe=MODEL2, accuracy=60.1, loss=1.074),
        Row(slug="model-3", label="Model 3", recipe=MODEL3, accuracy=67.4, loss=0.903),
    ),
)
