"""The config of a DATA agent and its check when an agent is saved.

{"source": {"input": "flights"},
 "operations": [{"op": "filter", "where": "dep_delay > 15"}, {"op": "limit", "rows": 10}],
 "schema": {"carrier": "string", "dep_delay": "int64"},
 "checks": [{"check": "not_null", "columns": ["carrier"]}],
 "chart": {"kind": "bar", "x": "carrier", "y": "dep_delay"},
 "sink": {"path": "reports/late.csv"}}
"""

from typing import Any

from pydantic import Field, ValidationError

from agents.data.charts.config import AnyChart
from agents.data.column_types import TypeName
from agents.data.model import DataModel, ParseNotes
from agents.data.operations import AnyOperation
from agents.data.problems import problems_of
from agents.data.quality import AnyCheck
from agents.data.sinks import Sink
from agents.data.sources import AnySource, DatabaseSource, Source, UrlSource
from agents.errors import ConfigInvalid, Problem

MAX_OPERATIONS = 200


class DataConfig(DataModel):
    """Without `source` the table is the agent's input `source`, or its only input.

    `schema` is a contract: exactly these columns with these types, in any order, else nothing is written.
    """

    source: Source | None = None
    operations: list[AnyOperation] = Field(max_length=MAX_OPERATIONS)
    sink: Sink | None = None
    chart: AnyChart | None = None
    contract: dict[str, TypeName] | None = Field(default=None, alias="schema", min_length=1)
    checks: list[AnyCheck] = Field(default_factory=list, max_length=MAX_OPERATIONS)

    @property
    def is_pure(self) -> bool:
        """Whether it computes a table from what is at hand and does nothing beside."""
        is_near = not any(isinstance(source, UrlSource | DatabaseSource) for source in self.named_sources().values())
        return is_near and self.sink is None and self.chart is None and not self.checks

    def named_sources(self) -> dict[str, AnySource]:
        """All sources that the config names itself, by their place in it: `source`, `operations[2].with`."""
        named = {"source": self.source} if self.source is not None else {}
        for index, operation in enumerate(self.operations):
            named |= {f"operations[{index}].{place}": source for place, source in operation.sources().items()}
        return named


def data_problems(config: dict[str, Any]) -> list[Problem]:
    """All problems of a config as it is saved; values that hold `{{ … }}` are judged only when the agent runs."""
    notes = ParseNotes(templates=True)
    try:
        DataConfig.model_validate(config, context=notes)
    except ValidationError as error:
        return problems_of(error, config, notes)
    return []


def parse_config(config: dict[str, Any]) -> DataConfig:
    """The config of a run, its templates filled in; raises `ConfigInvalid` with the first problem's path."""
    notes = ParseNotes(templates=False)
    try:
        return DataConfig.model_validate(config, context=notes)
    except ValidationError as error:
        problems = problems_of(error, config, notes)
        message = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:10])
        details = {"problems": [problem.model_dump() for problem in problems]}
        raise ConfigInvalid(message, path=problems[0].path, details=details) from None
