"""Table 4: two names of one loss, with two optimizers, on Model 3.

Run:      ferkit reproduce table-4 --data CSV [--seeds N]
Costs:    4 rows, 2 runs a seed, both of which Table 3 has too.
Expected: no difference between the losses: the networks end in LogSoftmax, where the two are the same function.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.experiments import table_1
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipes import MODEL3

_ADAM = replace(MODEL3, optimizer="adam", lr=0.001)

TABLE = Table(
    name="table-4",
    title="Table 4: criterion and optimizer of Model 3",
    source="the report, section 3.4, Table 4",
    unclear=(
        "The report gives no rates here. SGD: 0.002, since the first row repeats that row of Table 3 to the digit. "
        "Adam: 0.001.",
        "It gives no weight decay of Adam: none.",
        *table_1.TABLE.unclear[1:],
    ),
    remarks=(
        "The networks end in LogSoftmax, and the log-softmax of log-probabilities is those same log-probabilities. So "
        "CrossEntropyLoss and NLLLoss are one function here ([losses](../concepts/losses.md) shows it, a test proves "
        "it), and a run counts for the rows of both.",
    ),
    claims=(
        Claim(text="With SGD, cross entropy suits Model 3 better than NLL.", pairs=(("cross-entropy-sgd", "nll-sgd"),)),
        Claim(
            text="With Adam, NLL suits Model 3 better (the rows say so; the text speaks of SGD alone).",
            pairs=(("nll-adam", "cross-entropy-adam"),),
        ),
    ),
    rows=(
        Row(slug="nll-sgd", label="NLLLoss, SGD", recipe=MODEL3, accuracy=66.7, loss=0.897),
        Row(slug="nll-adam", label="NLLLoss, Adam", recipe=_ADAM, accuracy=64.9, loss=0.937),
        Row(
            slug="cross-entropy-sgd",
            label="CrossEntropyLoss, SGD",
            recipe=replace(MODEL3, loss="cross_entropy"),
            accuracy=67.1,
            loss=0.878,
        ),
        Row(
            slug="cross-entropy-adam",
            label="CrossEntropyLoss, Adam",
            recipe=replace(_ADAM, loss="cross_entropy"),
            accuracy=63.3,
            loss=0.994,
        ),
    ),
)
