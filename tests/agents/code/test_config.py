from collections.abc import Sequence
from typing import Any

import pytest

from agents.code.config import code_problems, read_config

MAIN = "def main(input):\n    return input\n"


def found(code: str, **fields: Any) -> list[tuple[str, str]]:
    problems = code_problems({"language": "python", "code": code, **fields})
    return [(problem.path, problem.message) for problem in problems]


@pytest.mark.parametrize(
    "code",
    [
        MAIN,
        "def main(input, more=1, *rest, key=2, **others): ...",
        "def main(*args): ...",
        "def main(input, /): ...",
        "def main(): ...\ndef main(input): ...",
        'def main(input):\n    return f"{{{input}}}", "\\d"\n',
        "{{ inputs.code }}",
    ],
)
def test_sound_code_has_no_problems(code: str) -> None:
    assert found(code) == []


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("def main(input):\n    return (\n", "line 2: '(' was never closed"),
        ("def main(input):\n  x\n y", "line 3"),
        ("x = 1", "no function `main`"),
        ("class A:\n    def main(input): ...", "no function `main`"),
        ("main = lambda input: 1", "no function `main`"),
        ("\n\ndef main(): ...", "line 3: `main` must take exactly one argument"),
        ("def main(a, b): ...", "exactly one argument"),
        ("def main(a, *, b): ...", "exactly one argument"),
        ("def main(*, input): ...", "exactly one argument"),
        ("async def main(input): ...", "line 1: `main` must be a plain function"),
        ("a\0b", "null bytes"),
        ("'\ud800'", "valid"),
        ("x = " + "(" * 100_000, "too many nested parentheses"),
        ("x = " + "-" * 200_000 + "1", "nests too deep"),
        ("x = a" + ".b" * 100_000, "nests too deep"),
        ("x = " + "1+" * 100_000 + "1", "nests too deep"),
        ("if 1: pass\n" + "elif 1: pass\n" * 15_000, "nests too deep"),
        ("#" * (256 * 1024 + 1), "larger than 256 KiB"),
        ("#" + "ä" * (128 * 1024), "larger than 256 KiB"),
        ("# -*- coding: nonsense -*-\nx = 1", "no function `main`"),
    ],
)
def test_faulty_code_is_named_with_its_line(code: str, part: str) -> None:
    [(path, message)] = found(code)
    assert path == "code"
    assert part in message


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({"code": MAIN}, "language", "MISSING_FIELD"),
        ({"language": "python"}, "code", "MISSING_FIELD"),
        ({"language": "node", "code": "x"}, "code", "BAD_CONFIG"),
        ({"language": "node", "code": "module.exports = '\ud800'"}, "code", "BAD_CONFIG"),
        ({"language": "javascript", "code": "x"}, "language", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "startup": "warm"}, "startup", "BAD_CONFIG"),
        ({"language": "cobol", "code": MAIN}, "language", "BAD_CONFIG"),
        ({"language": [], "code": MAIN}, "language", "BAD_CONFIG"),
        ({"language": "python", "code": 5}, "code", "BAD_CONFIG"),
        ({"language": "python", "code": ""}, "code", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "memory": 5}, "memory", "UNKNOWN_FIELD"),
        ({"language": "python", "code": MAIN, "memoryMb": 1}, "memoryMb", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "memoryMb": 10**9}, "memoryMb", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "cpuSeconds": 0}, "cpuSeconds", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "timeoutSeconds": float("inf")}, "timeoutSeconds", "BAD_CONFIG"),
        ({"language": "python", "code": MAIN, "maxOutputBytes": -1}, "maxOutputBytes", "BAD_CONFIG"),
    ],
)
def test_each_fault_is_found_at_its_place(config: dict[str, Any], path: str, code: str) -> None:
    assert [(problem.path, problem.code) for problem in code_problems(config)] == [(path, code)]


def test_all_problems_come_at_once() -> None:
    problems = code_problems({"memoryMb": 1, "nope": 1})
    assert {problem.path for problem in problems} == {"language", "code", "memoryMb", "nope"}


def test_programs_for_node_are_sound() -> None:
    assert code_problems({"language": "node", "code": "module.exports = async (input) => input"}) == []


@pytest.mark.parametrize(
    ("network", "hosts"), [(True, ("*",)), (False, ()), ([], ()), (["a.example", "*.b.example:8443"],) * 2]
)
def test_a_network_is_a_list_of_hosts(network: bool | list[str], hosts: Sequence[str]) -> None:
    config = {"language": "python", "code": MAIN, "network": network}
    assert code_problems(config) == []
    assert read_config(config).network == tuple(hosts)


@pytest.mark.parametrize(
    "entry", ["", "https://a.example", "a.*.example", "a b", "a.example:0", "a.example:99999", "**"]
)
def test_what_is_no_host_is_refused_with_what_is(entry: str) -> None:
    [problem] = code_problems({"language": "python", "code": MAIN, "network": [entry]})
    assert problem.path.startswith("network")
    assert repr(entry) in problem.message


def test_templates_in_limits_are_left_to_the_run() -> None:
    assert found(MAIN, memoryMb="{{ inputs.memory }}") == []
