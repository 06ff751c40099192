"""The tracer's table of greenlets: found again while they live, forgotten when they are over."""

from importlib.util import find_spec

from greenlet import getcurrent, greenlet

from tests.bars.tracer import UNMEASURED, _Greenlets


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
    assert find_spec(UNMEASURED) is not None
