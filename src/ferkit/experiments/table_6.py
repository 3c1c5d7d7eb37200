"""Table 6: batch size and width of Model 3.

Run:      ferkit reproduce table-6 --data CSV [--seeds N]
Costs:    6 rows; the first is also a row of Tables 3 and 5, the fifth one of Table 7. For a GPU.
Expected: larger batches worse, doubled widths a little better.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL3


def _row(batch_size: int, channels: int, accuracy: float, loss: float) -> Row:
    options = {} if channels == 1024 else {"width": channels / 1024}
    return Row(
        slug=f"batch-{batch_size}-channels-{channels}",
        label=f"Batch size {batch_size}, at most {channels} channels",
        recipe=replace(MODEL3, options=options, lr=0.02, loss="cross_entropy", batch_size=batch_size),
        accuracy=accuracy,
        loss=loss,
    )


_ROWS = (
    _row(64, 1024, 66.7, 0.897),
    _row(128, 1024, 69.2, 0.862),
    _row(256, 1024, 65.2, 0.926),
    _row(512, 1024, 62.0, 0.987),
    _row(64, 2048, 69.0, 0.852),
    _row(128, 2048, 69.6, 0.849),
)
_BEST = _ROWS[-1].slug

TABLE = Table(
    name="table-6",
    title="Table 6: batch size and width of Model 3",
    source="the report, section 3.6, Table 6",
    unclear=(
        "The first row repeats Table 3's SGD at 0.002 to the digit, while the text says 0.02: 0.02 is run.",
        *table_1.TABLE.unclear[1:],
    ),
    claims=(
        Claim(
            text="Batches of 128 with doubled channels are the best.",
            pairs=tuple((_BEST, row.slug) for row in _ROWS[:-1]),
            kind="each",
        ),
        Claim(
            text="Larger batches generalise worse, from 128 on (from 64 to 128 the report's own rows rise).",
            pairs=(
                ("batch-128-channels-1024", "batch-256-channels-1024"),
                ("batch-256-channels-1024", "batch-512-channels-1024"),
            ),
            kind="each",
        ),
    ),
    rows=_ROWS,
)
