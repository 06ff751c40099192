"""The names of column types in configs and results: `Int64`, `datetime[ms, UTC]`, `decimal(10, 2)`, `List[String]`."""

import re
from typing import Annotated, Any

import polars as pl
from polars.datatypes import DataTypeClass
from pydantic import AfterValidator, ValidationInfo

from agents.data.model import is_unfilled, refuse

SIMPLE_TYPES: dict[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "int128": pl.Int128(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "binary": pl.Binary(),
    "categorical": pl.Categorical(),
    "date": pl.Date(),
    "time": pl.Time(),
    "datetime": pl.Datetime("us"),
    "duration": pl.Duration("us"),
    "null": pl.Null(),
}
SYNONYMS = {
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "float": "float64",
    "double": "float64",
    "bool": "boolean",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "timestamp": "datetime",
}
CHOICES = (
    f"{', '.join(name for name in SIMPLE_TYPES if name != 'null')}, "
    "datetime[ms|us|ns, zone], duration[ms|us|ns], decimal(precision, scale), list[type]"
)
MAX_NESTING = 8
TIME_UNITS = ("ms", "us", "ns")
_WITH_ARGUMENTS = re.compile(r"\s*(datetime|duration|decimal|list)\s*(?:\[(.*)\]|\((.*)\))\s*", re.IGNORECASE)


class UnknownType(ValueError):
    """No column type has this name."""


def parse_type(name: str, depth: int = 0) -> pl.DataType:
    """The Polars type behind a name, whatever its case; raises `UnknownType`."""
    key = name.strip().lower()
    simple = SIMPLE_TYPES.get(SYNONYMS.get(key, key))
    if simple is not None:
        return simple
    match = _WITH_ARGUMENTS.fullmatch(name)
    if match is None or depth > MAX_NESTING:
        raise UnknownType(name)
    kind, arguments = match[1].lower(), match[2] or match[3] or ""
    if kind == "list":
        return pl.List(parse_type(arguments, depth + 1))
    return _parametrised(name, kind, [part.strip() for part in arguments.split(",")])


def _parametrised(name: str, kind: str, arguments: list[str]) -> pl.DataType:
    if kind == "decimal" and len(arguments) == 2 and all(part.isdecimal() for part in arguments):
        precision, scale = int(arguments[0]), int(arguments[1])
        if scale <= precision <= 38:
            return pl.Decimal(precision, scale)
    if kind == "duration" and arguments in [[unit] for unit in TIME_UNITS]:
        return pl.Duration(arguments[0])  # type: ignore[arg-type] # narrowed by the line above
    if kind == "datetime" and arguments[0] in TIME_UNITS and len(arguments) <= 2:
        return _datetime(name, arguments[0], arguments[1] if len(arguments) == 2 else None)
    raise UnknownType(name)


def _datetime(name: str, unit: str, zone: str | None) -> pl.DataType:
    try:
        kind = pl.Datetime(unit, zone)  # type: ignore[arg-type] # the caller has checked the unit
        pl.Series([None], dtype=kind)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise UnknownType(name) from error
    return kind


def type_name(dtype: pl.DataType | DataTypeClass) -> str:
    """The name under which a type appears in results; `parse_type` reads it back for all but structs and enums."""
    match dtype:
        case pl.Datetime():
            return f"Datetime[{dtype.time_unit}{f', {dtype.time_zone}' if dtype.time_zone else ''}]"
        case pl.Duration():
            return f"Duration[{dtype.time_unit}]"
        case pl.Decimal():
            return f"Decimal({dtype.precision}, {dtype.scale})"
        case pl.List():
            return f"List[{type_name(dtype.inner)}]"
        case pl.Array():
            return f"Array[{type_name(dtype.inner)}, {dtype.size}]"
        case pl.Struct():
            return f"Struct[{', '.join(f'{field.name}: {type_name(field.dtype)}' for field in dtype.fields)}]"
        case _:
            return str(dtype.base_type())


def schema_names(schema: pl.Schema) -> dict[str, str]:
    """Column name to type name, in order."""
    return {name: type_name(dtype) for name, dtype in schema.items()}


def _check_type(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    try:
        parse_type(value)
    except UnknownType:
        raise refuse("BAD_CONFIG", f'no column type is called "{value[:100]}"; there are: {CHOICES}') from None
    return value


TypeName = Annotated[str, AfterValidator(_check_type)]


def is_temporal_text(value: Any, dtype: pl.DataType) -> bool:
    """Whether `value` is text that stands for a moment in a column of moments (JSON has no dates)."""
    return isinstance(value, str) and dtype.is_temporal()
