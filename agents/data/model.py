"""The base of every part of a DATA config, and how unfilled templates are told apart from values."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


class ParseNotes:
    """What one validation leaves for the messages: which model each JSON object was read as.

    `templates` is true when a config is saved: a string that holds `{{ … }}` is not judged then, since its value is
    known only when the agent runs.
    """

    def __init__(self, *, templates: bool) -> None:
        self.templates = templates
        self._models: dict[int, type[BaseModel]] = {}

    def remember(self, value: object, model: type[BaseModel]) -> None:
        """Objects are kept by identity: the document outlives the notes on it."""
        self._models[id(value)] = model

    def fields_of(self, value: object) -> list[str]:
        """The keys that the JSON object `value` may have; empty if it never came to that."""
        model = self._models.get(id(value))
        if model is None:
            return []
        return [field.alias or name for name, field in model.model_fields.items()]


class DataModel(BaseModel):
    """Strict JSON: camelCase keys, nothing unknown, no conversions between types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _note(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(info.context, ParseNotes):
            info.context.remember(value, cls)
        return value


def holds_template(value: object) -> bool:
    """Whether `value` is text with a `{{ … }}` in it."""
    return isinstance(value, str) and "{{" in value and "}}" in value


def is_unfilled(value: object, info: ValidationInfo) -> bool:
    """Whether `value` must not be judged yet."""
    return isinstance(info.context, ParseNotes) and info.context.templates and holds_template(value)


def refuse(code: str, message: str) -> PydanticCustomError:
    """An error of a validator that becomes a `Problem` with `code`; braces in `message` are taken literally."""
    return PydanticCustomError(code, "{message}", {"message": message})
