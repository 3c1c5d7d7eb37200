"""The report's tables as data, one module each; nothing here computes."""

from ferkit.experiments import final, table_1, table_2, table_3, table_4, table_5, table_6, table_7
from ferkit.report.table import Table

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE for module in (table_1, table_2, table_3, table_4, table_5, table_6, table_7, final)
}
"""Every table, by name, in the report's order; the final model is the last."""
