"""Says in one line what Polars says in twenty, and names the columns that there are."""

from collections.abc import Iterable

import polars as pl

from agents.data.suggestions import did_you_mean, listed
from agents.errors import DataFailed

_NOISE = (
    "\n\nResolved plan until failure",
    "\n\nThis error occurred",
    "\n\nYou might want to try",
    "\n\nYou may want to try",
    "\n\nConsider ",
    "\n\nDebug source",
    "\n\nCaused by",
    "; note: if you are using Python",
    " (set POLARS_VERBOSE",
)
MAX_REASON = 1_000


class ColumnMissing(Exception):
    """An operation names a column that the table does not have at that point."""

    def __init__(self, name: str, columns: Iterable[str]) -> None:
        self.name = name
        self.columns = list(columns)
        super().__init__(f'column "{name}" not found; there are: {listed(self.columns)}')

    @property
    def hint(self) -> str | None:
        return did_you_mean(self.name, self.columns)


class OperationRefused(Exception):
    """An operation does not fit the table that it meets; the message says why."""


POLARS_FAILURES = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
)
"""What Polars raises for bad data; a panic is no `Exception`, so it has to be named."""


def polars_reason(error: BaseException) -> str:
    """The message without the query plan, which repeats file names of the machine and other columns."""
    reason = str(error).strip()
    for noise in _NOISE:
        reason = reason.split(noise, maxsplit=1)[0]
    return reason[:MAX_REASON].strip() or type(error).__name__


def failed_at(path: str, name: str, error: BaseException) -> DataFailed:
    """The failure of one part of the config: `operations[3] (map): column "dest2" not found; …`."""
    hint = error.hint if isinstance(error, ColumnMissing) else None
    label = f"{path} ({name})" if name else path
    message = f"{label}: {polars_reason(error)}"
    return DataFailed(f"{message}; {hint}" if hint else message, path=path, hint=hint)
