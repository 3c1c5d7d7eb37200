"""The final model: Model 3 with doubled widths, 15 epochs, batches of 128.

Run:      ferkit reproduce final --data CSV [--seeds N]
Costs:    days on two cores, so for a GPU.
Expected: 68.7 % on PublicTest.
Unclear:  see TABLE.unclear.
"""

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import FINAL

_OTHERS = ("angry", "disgust", "happy", "sad", "surprise", "neutral")

TABLE = Table(
    name="final",
    title="The final model",
    source="the report, section 4.1 and Figure 3",
    part="test",
    unclear=table_1.TABLE.unclear[1:],
    classes={
        "angry": (0.59, 0.62, 0.60),
        "disgust": (0.84, 0.57, 0.68),
        "fear": (0.55, 0.52, 0.54),
        "happy": (0.87, 0.86, 0.87),
        "sad": (0.57, 0.59, 0.58),
        "surprise": (0.80, 0.79, 0.79),
        "neutral": (0.58, 0.60, 0.59),
    },
    claims=(
        Claim(
            text="Fear is recognised worst (F1).",
            pairs=tuple((f"final:{name}", "final:fear") for name in _OTHERS),
            kind="each",
        ),
        Claim(
            text="Happy is recognised best (F1).",
            pairs=tuple(("final:happy", f"final:{name}") for name in (*_OTHERS, "fear") if name != "happy"),
            kind="each",
        ),
    ),
    rows=(Row(slug="final", label="Model 3 doubled, 15 epochs", recipe=FINAL, accuracy=68.7, loss=0.959),),
)
