"""The table that Prefect shows of a DATA step: its first rows and columns, with long cells cut."""

from collections.abc import Mapping
from typing import Any

from flows.runtime.markdown import plain
from flows.runtime.storable import storable_json

MOST_ROWS = 20
MOST_COLUMNS = 30
CELL_CHARACTERS = 100
_EXACT_INTEGER = 2**53
"""A browser rounds larger ones."""


def preview_table(output: Mapping[str, Any]) -> tuple[str, str] | None:
    """A sentence about the table and its rows as JSON; None where the output has no rows to show."""
    rows = output.get("preview")
    if not isinstance(rows, list) or not rows:
        return None
    columns = list(output.get("schema") or rows[0])
    shown = columns[:MOST_COLUMNS]
    table = [{name: _cell(row.get(name)) for name in shown} for row in rows[:MOST_ROWS]]
    return _sentence(output.get("rows", len(rows)), len(table), len(columns)), storable_json(table).decode()


def _sentence(rows: int, shown: int, columns: int) -> str:
    what = f"{rows:,} {'row' if rows == 1 else 'rows'}, {columns:,} {'column' if columns == 1 else 'columns'}"
    cuts = [f"the first {shown:,} rows"] if shown < rows else []
    cuts += [f"the first {MOST_COLUMNS} columns"] if columns > MOST_COLUMNS else []
    return f"{what}; shown: {', '.join(cuts)}" if cuts else what


def _cell(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INTEGER else str(value)
    text = value if isinstance(value, str) else storable_json(value).decode()
    return plain(text if len(text) <= CELL_CHARACTERS else f"{text[:CELL_CHARACTERS]}…")
