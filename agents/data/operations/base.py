"""What an operation is: a piece of config that turns one lazy table into another."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

import polars as pl

from agents.data.model import DataModel
from agents.data.sources import AnySource


class Tables(Protocol):
    """Gives operations the other tables that they name."""

    def read(self, source: AnySource, path: str) -> pl.LazyFrame:
        """The table of `source`, which stands at `path` in the config; raises `AgentError`."""
        ...


class Operation(DataModel):
    """Base of all operations.

    `apply` may ask for the schema but never collects; it raises `ColumnMissing`, `OperationRefused`, `BadSql` or a
    Polars error, which the planner turns into an error that names the operation.
    """

    multiplies: ClassVar[bool] = False
    """Whether it may give many more rows than it takes; a query is made stoppable after such operations."""

    @property
    def explodes(self) -> bool:
        """Whether so many rows may come that a filter must not be merged into the operation; costs optimisations."""
        return False

    @property
    def grows(self) -> bool:
        """Whether it may make values much longer than they were; a query is stoppable after it, too."""
        return False

    op: str

    def sources(self) -> Mapping[str, AnySource]:
        """The other tables that it reads, by their place in the operation (`with[0]`); `apply` asks for no others."""
        return {}

    @abstractmethod
    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame: ...
