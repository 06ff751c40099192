"""Tables that are planned and not computed yet, within a run and from step to step."""

from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.errors import InputInvalid

LAZY = "lazy"
"""The key of an output under which the plan of a table stands."""


@dataclass(frozen=True)
class Stage:
    """The table after one part of the config: `operations[3]` (map), or the source."""

    path: str
    name: str
    frame: pl.LazyFrame


class LazyTable(BaseModel):
    """What another step needs to compute a table as a part of its own query: the config and inputs of its agent."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    config: dict[str, Any]
    inputs: dict[str, Any]
    lazy_inputs: list[str]
    stamps: dict[str, str] = Field(default_factory=dict)
    """What the files of each source looked like when the table was planned, by the source's place in the config."""

    @classmethod
    def of(cls, output: dict[str, Any]) -> "LazyTable":
        """That of a step's output; raises `InputInvalid`."""
        try:
            return cls.model_validate(output[LAZY])
        except ValidationError as error:
            message = "the plan of a table is damaged; hand over the whole output of the DATA step"
            raise InputInvalid(message) from error
