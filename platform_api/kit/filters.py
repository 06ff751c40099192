"""Query strings of lists: filters as a model, several values of one filter."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Filters(BaseModel):
    """Base of what a list is narrowed to."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


def _split(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [part.strip() for value in values for part in str(value).split(",") if part.strip()]


Several = Annotated[tuple[T, ...], BeforeValidator(_split)]
"""A filter that may be repeated (`tags=a&tags=b`) or written with commas (`tags=a,b`)."""
