"""The report's tables as data, one module each; nothing here computes."""

from ferkit.experiments import table_1, table_2
from ferkit.report.table import Table

TABLES: dict[str, Table] = {table.name: table for table in (table_1.TABLE, table_2.TABLE)}
"""Every table, by name."""
