"""Tables as data, one module each; nothing here computes."""

from ferkit.experiments import (
    ablations,
    ablations_residual,
    champion,
    final,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
    table_6,
    table_7,
)
from ferkit.report.table import Table

REPORTED: dict[str, Table] = {
    module.TABLE.name: module.TABLE for module in (table_1, table_2, table_3, table_4, table_5, table_6, table_7, final)
}
"""Every table of the report, by name, in its order; the final model is the last."""

TABLES: dict[str, Table] = {**REPORTED, **{m.TABLE.name: m.TABLE for m in (ablations, ablations_residual, champion)}}
"""Those, and ours."""
