"""What `EGRESS_ALLOW` may hold, and what is said of the rest."""

import ipaddress

import pytest

from agents.egress.allowlist import allowed_names, allowed_networks, entry_problems, read_entry


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("ollama.internal", "ollama.internal"),
        ("Ollama.Internal.", "ollama.internal"),
        ("my_db", "my_db"),
        ("localhost", "localhost"),
        ("xn--bro-hoa.example", "xn--bro-hoa.example"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("::1", "::1/128"),
        ("[::1]", "::1/128"),
        ("FD00:0::/8", "fd00::/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_names_addresses_and_networks_are_understood(entry: str, meant: str) -> None:
    assert str(read_entry(entry)) == meant
    assert entry_problems([entry]) == []


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("http://ollama.internal", "leave out the scheme"),
        ("https://ollama.internal:11434/v1", "leave out the scheme"),
        ("user@ollama.example", "leave out the scheme"),
        ("ollama.internal:11434", "leave out the port"),
        ("10.0.0.1:80", "leave out the port"),
        ("[::1]:80", "leave out the port"),
        ("*.internal", "no wildcards"),
        ("10.*", "no wildcards"),
        ("ollama.internal/v1", "a network (10.20.0.0/16)"),
        ("10.0.0.0/33", "10.20.0.0/16"),
        ("10.0.0/8", "10.20.0.0/16"),
        ("10.0.0.0/255.0.0.0", "10.20.0.0/16"),
        ("10.0.0.1/8", "10.0.0.0/8 for all of it, or 10.0.0.1 alone"),
        ("fd00::1/8", "fd00::/8 for all of it"),
        ("127.1", "write it as 127.0.0.1"),
        ("0x7f000001", "write it as 127.0.0.1"),
        ("2130706433", "write it as 127.0.0.1"),
        ("256.1.1.1", "no IP address"),
        ("10.0.0.0-10.0.0.9", "no IP address"),
        ("fe80::1%eth0", "without it"),
        ("a b", "no host name"),
        ("a..b", "no host name"),
        (".internal", "no host name"),
        ("büro.example", "xn--bro-hoa.example"),
        (":::", ""),
        ("", "no host name"),
    ],
)
def test_of_anything_else_is_said_what_is_right(entry: str, advice: str) -> None:
    [problem] = entry_problems(["fine.internal", entry])
    assert problem.startswith(repr(entry.rpartition("@")[2]))
    assert advice in problem


def test_the_list_is_told_apart_into_names_and_networks() -> None:
    allow = ("10.0.0.0/8", "db.internal", "::1")
    assert allowed_names(allow) == {"db.internal"}
    assert allowed_networks(allow) == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))
