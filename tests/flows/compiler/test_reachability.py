"""Steps that can never run."""

from typing import Any

import pytest

from tests.flows.compiler.definitions import condition, problems_of, step


def dead(*steps: dict[str, Any]) -> set[str]:
    """The keys of the steps that are told to be unreachable; nothing else is told."""
    problems = problems_of(*steps)
    assert {problem.code for problem in problems} <= {"UNREACHABLE_STEP"}
    return {steps[int(problem.path[6:-1])]["stepKey"] for problem in problems}


FORK = condition("fork", "inputs.x > 1", then=["yes"], **{"else": ["no"]})


INNER = condition("inner", "true", "yes", then=["deep"])


@pytest.mark.parametrize(
    ("steps", "unreachable"),
    [
        ([FORK, step("yes"), step("no"), step("join", "yes", "no")], set()),
        ([FORK, step("yes"), step("no", "yes")], {"no"}),
        ([FORK, step("yes"), step("no", "between"), step("between", "yes")], {"no"}),
        ([FORK, step("yes"), step("no", "yes"), step("after", "no"), step("beside", "no", "yes")], {"no", "after"}),
        ([FORK, step("load"), step("yes", "load"), step("no", "yes", "load")], set()),
        ([FORK, step("yes"), step("no"), condition("second", "true", "yes", then=["no"])], set()),
        (
            [FORK, step("yes"), step("no"), condition("inner", "true", "yes", then=["deep"]), step("deep", "no")],
            {"deep"},
        ),
        ([step("work", fallback="rescue"), step("next", "work"), step("rescue"), step("end", "next", "rescue")], set()),
        ([step("work", fallback="rescue"), step("next", "work"), step("rescue", "next")], {"rescue"}),
        ([step("work", fallback="rescue", onError="CONTINUE"), step("next", "work"), step("rescue", "next")], set()),
        ([step("work", fallback="rescue"), FORK, step("yes", "rescue"), step("no"), step("rescue", "no")], {"yes"}),
    ],
)
def test_what_excludes_itself_is_told(steps: list[dict[str, Any]], unreachable: set[str]) -> None:
    assert dead(*steps) == unreachable


def test_cases_are_arms_of_their_own() -> None:
    cases = [{"when": "inputs.x == 1", "then": ["one", "both"]}, {"when": "inputs.x == 2", "then": ["two", "both"]}]
    choose = {"stepKey": "choose", "type": "CONDITION", "config": {"cases": cases, "default": ["other"]}}

    assert dead(choose, step("one"), step("two"), step("other"), step("both", "one")) == set()
    assert dead(choose, step("one"), step("two", "one"), step("other", "both"), step("both")) == {"two", "other"}


def test_many_forks_after_each_other_take_linear_time() -> None:
    forks = [condition(f"c{n}", "true", *([f"c{n - 1}"] if n else []), then=[f"s{n}"]) for n in range(900)]

    assert dead(*forks, *(step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(900))) == set()
