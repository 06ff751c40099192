"""What is measured on the stack, small: it sees that the benchmark runs, on the stack that all of these tests share."""

import pytest

from tests.bench.idle import idle
from tests.bench.runs import SMALL, figures
from tests.fixtures.live import Live

pytestmark = pytest.mark.e2e


async def test_figures_of_runs_and_of_rest(live: Live) -> None:
    found = [figure async for figure in figures(live, SMALL)] + idle(live.stack, settle=0, watch=1)
    values = {figure.name: figure.value for figure in found}
    assert {name.split()[0] for name in values} == {"P1", "P2", "P3", "P4", "P9"}
    assert all(value > 0 for name, value in values.items() if "memory" not in name), values
