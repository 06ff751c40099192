"""What the tracer leaves alone, and its table of greenlets: kept while they live, forgotten when they are over."""

import sys
from importlib.util import find_spec

from greenlet import getcurrent, greenlet

from tests.bars.tracer import OF_A_STACK, UNMEASURED, _Greenlets, is_unmeasured


def test_the_living_are_kept_and_the_dead_leave() -> None:
    stacks = _Greenlets()
    stacks[getcurrent()] = 0
    suspended = greenlet(lambda: getcurrent().parent.switch())
    suspended.switch()
    stacks[suspended] = 1
    for number in range(2, 2000):
        over = greenlet(lambda: None)
        over.switch()
        stacks[over] = number

    assert (stacks[getcurrent()], stacks[suspended], stacks[over]) == (0, 1, 1999)
    assert len(stacks) < 200
    suspended.switch()


def test_what_is_not_measured_is_there() -> None:
    assert [name for name in UNMEASURED if find_spec(name) is None] == []


def test_servers_of_a_stack_are_not_measured_and_those_of_a_test_are() -> None:
    for server in UNMEASURED:
        assert is_unmeasured([sys.executable, "-m", server, OF_A_STACK, "8"])
        assert not is_unmeasured([sys.executable, "-m", server])
    assert not is_unmeasured([sys.executable, "-m", "deployments.worker", OF_A_STACK, "8"])
