"""Lists of hosts: what an entry covers, and what it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.egress.hosts import AllowedHosts, entry_problem
from agents.errors import EgressRefused

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


def covered(entry: str, host: str, port: int = 443) -> bool:
    try:
        AllowedHosts(agent=("*", f"*:{port}"), tenant=(entry,)).check(host, port)
    except EgressRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("entry", "host", "port", "expected"),
    [
        ("api.example.com", "api.example.com", 443, True),
        ("api.example.com", "API.Example.com.", 80, True),
        ("API.example.com", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 8443, False),
        ("api.example.com:8443", "api.example.com", 8443, True),
        ("api.example.com:8443", "api.example.com", 443, False),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "evilexample.com", 443, False),
        ("example.com", "example.com.evil.net", 443, False),
        ("*", "anything", 443, True),
        ("*", "anything", 22, False),
        ("*:22", "anything", 22, True),
        ("192.0.2.1", "192.0.2.1", 80, True),
    ],
)
def test_an_entry_covers_what_it_says(entry: str, host: str, port: int, expected: bool) -> None:
    assert entry_problem(entry) is None
    assert covered(entry, host, port) is expected


@given(NAME, NAME)
def test_a_name_covers_itself_alone(entry: str, host: str) -> None:
    assert covered(entry, host) is (entry == host)


@given(NAME, NAME)
def test_a_star_covers_what_is_below_alone(entry: str, host: str) -> None:
    assert covered(f"*.{entry}", host) is (host != entry and host.endswith(f".{entry}"))


def test_both_have_to_name_a_host_and_the_refusal_says_who_does_not() -> None:
    with pytest.raises(EgressRefused, match="`network`"):
        AllowedHosts(agent=(), tenant=("*",)).check("a.example", 443)
    with pytest.raises(EgressRefused, match="`codeEgress`"):
        AllowedHosts(agent=("*",), tenant=()).check("a.example", 443)
