"""The tables: one file each, one entry a row. Adding a row is one entry; adding a table, a file and a line here."""

from meronym.recipes.base import DATA, Data, Panel, Row, Table
from meronym.recipes.best import BEST
from meronym.recipes.table1 import TABLE1
from meronym.recipes.table2 import TABLE2
from meronym.recipes.table3 import TABLE3
from meronym.recipes.table4 import TABLE4
from meronym.recipes.table5 import TABLE5

TABLES: dict[str, Table] = {
    "table1": TABLE1,
    "table2": TABLE2,
    "table3": TABLE3,
    "table4": TABLE4,
    "table5": TABLE5,
    "best": BEST,
}

__all__ = ["DATA", "TABLES", "Data", "Panel", "Row", "Table"]
