import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.data.column_types import SIMPLE_TYPES, UnknownType, parse_type, type_name

units = st.sampled_from(["ms", "us", "ns"])
scalar_types = (
    st.sampled_from(list(SIMPLE_TYPES.values()))
    | st.builds(pl.Datetime, units, st.sampled_from([None, "UTC", "Europe/Berlin"]))
    | st.builds(pl.Duration, units)
    | st.integers(1, 38).flatmap(lambda precision: st.builds(pl.Decimal, st.just(precision), st.integers(0, precision)))
)


@given(kind=st.recursive(scalar_types, lambda inner: st.builds(pl.List, inner), max_leaves=3))
def test_the_name_of_a_type_is_read_back_as_that_type(kind: pl.DataType) -> None:
    assert parse_type(type_name(kind)) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("INT", pl.Int64()),
        ("text", pl.String()),
        ("timestamp", pl.Datetime("us")),
        ("decimal(10,2)", pl.Decimal(10, 2)),
        ("datetime[us]", pl.Datetime("us")),
        ("list[list[bool]]", pl.List(pl.List(pl.Boolean()))),
    ],
)
def test_names_in_the_words_of_sql(name: str, kind: pl.DataType) -> None:
    assert parse_type(name) == kind


@pytest.mark.parametrize(
    "name",
    ["", "object", "list", "list[]", "decimal(2,3)", "decimal(99,1)", "decimal", "datetime[h]", "datetime[us, Nowhere]",
     "duration[us, UTC]", "list[" * 50 + "int" + "]" * 50, "int64; drop"],
)  # fmt: skip
def test_what_is_no_type(name: str) -> None:
    with pytest.raises(UnknownType):
        parse_type(name)


def test_names_of_types_that_have_parts() -> None:
    assert type_name(pl.Struct({"a": pl.Int8, "b": pl.List(pl.String)})) == "Struct[a: Int8, b: List[String]]"
    assert type_name(pl.Array(pl.Int8, 3)) == "Array[Int8, 3]"
    assert type_name(pl.Enum(["a"])) == "Enum"
