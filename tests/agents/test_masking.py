"""Secrets are found in every form that programs give them without meaning to (case 31)."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.masking import MASK, SHORTEST, Masking

pytestmark = pytest.mark.case(31)

SECRET = 'p@ss "word"/+<&>\\ ü%1'


def masking(*secrets: str) -> Masking:
    made = Masking()
    for secret in secrets:
        made.add(secret)
    return made


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        html.escape(SECRET),
        repr(SECRET)[1:-1],
    ],
)
def test_each_form_is_masked_within_text(form: str) -> None:
    assert masking(SECRET)(f"before {form} after") == f"before {MASK} after"


@given(st.text(alphabet=st.characters(codec="ascii"), min_size=12, max_size=40), st.binary(max_size=7), st.binary())
def test_a_secret_inside_of_base64_is_masked_wherever_it_stands(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    shown = masking(secret)(encoded)
    assert MASK in shown
    assert len(shown) < len(encoded)


def test_lines_of_a_secret_and_its_text_without_a_last_newline() -> None:
    key = "-----BEGIN KEY-----\nabcdefghijklmnop\nqrstuvwx12345678\n-----END KEY-----\n"
    assert masking(key)("line: qrstuvwx12345678") == f"line: {MASK}"
    assert masking("hunter2\n")("it is hunter2!") == f"it is {MASK}!"


def test_short_secrets_are_left_alone() -> None:
    assert masking("abc"[: SHORTEST - 1])("abcabc") == "abcabc"
    assert masking("abcd")("abcabcd") == f"abc{MASK}"


def test_a_secret_that_holds_another_goes_first() -> None:
    assert masking("hunter", "hunter-two")("hunter-two hunter") == f"{MASK} {MASK}"


def test_json_is_masked_at_every_depth_in_keys_and_as_numbers() -> None:
    value = {"a": [f"x{SECRET}", {"b": (SECRET, None, True, 1.5)}], SECRET: 12345, "n": 123456}
    shown = masking(SECRET, "12345").json(value)
    assert shown == {"a": [f"x{MASK}", {"b": [MASK, None, True, 1.5]}], MASK: MASK, "n": 123456}


def test_what_is_nested_endlessly_is_not_followed() -> None:
    deep: list[object] = [SECRET]
    for _ in range(5_000):
        deep = [deep]
    assert SECRET not in str(masking(SECRET).json(deep))


def test_without_secrets_nothing_is_copied() -> None:
    value = {"a": [1]}
    assert Masking().json(value) is value


@given(
    st.lists(st.text("abc", min_size=4, max_size=7), min_size=1, max_size=3),
    st.lists(st.text("abcx", max_size=6), max_size=12),
)
def test_text_that_comes_in_pieces_is_masked_as_a_whole(secrets: list[str], pieces: list[str]) -> None:
    """What is shown early holds no secret and no part of one that comes later."""
    mask, shown, held = masking(*secrets), "", ""
    for piece in pieces:
        held += piece
        cut = mask.settled(held)
        shown, held = shown + mask(held[:cut]), held[cut:]
        assert not any(secret in shown + mask(held) for secret in secrets)
    assert shown + mask(held) == mask("".join(pieces))


def test_text_is_held_back_only_where_a_secret_may_have_begun() -> None:
    mask = masking("-----BEGIN" + "x" * 4000)
    assert mask.settled("All of this ") == len("All of this ")
    assert mask.settled("All of --") == len("All of ")
