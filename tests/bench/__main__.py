"""`make bench`: a table for people, one JSON line per figure for machines. `--small` only shows that it works.

    code    expressions, compilation, sandboxes and tables, without a stack
    stack   the one-command stack: start, rest, runs, and what a killed worker costs
    peers   the same on stock parts of Prefect, on the same stack

Everything unless some are named: `make bench ARGS="code"`.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from tests.bench import compilation, expressions, idle, peers, recovery, runs, sandbox, tables
from tests.bench.measure import Figure
from tests.factories.api import owner
from tests.fixtures.live import Live, clients
from tests.fixtures.stack import RunningStack

GROUPS = ("code", "stack", "peers")
PART_SECONDS = 300.0
"""How long one part of what is measured on a stack may take; on a machine that is too busy the next part begins."""

Tell = Callable[[Figure], None]
Part = Callable[[Live], AsyncIterator[Figure]]


def main() -> None:
    """Measures one group after another; each figure is a row as soon as it is known."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", help=f"some of: {', '.join(GROUPS)}")
    parser.add_argument("--small", action="store_true", help="few and short rounds")
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    measured: list[Figure] = []

    def tell(figure: Figure) -> None:
        print(figure.as_row(), flush=True)
        measured.append(figure)

    _measure(chosen.groups or GROUPS, tell, small=chosen.small)
    for figure in measured:
        print(json.dumps(figure.as_json(), ensure_ascii=False))


def _measure(groups: Sequence[str], tell: Tell, *, small: bool) -> None:
    if "code" in groups:
        _tell_all(expressions.figures(rounds=2 if small else 9, repeat=20 if small else 2_000), tell)
        _tell_all(compilation.figures(steps=50 if small else 1_000, rounds=2 if small else 7), tell)
        _tell_all(sandbox.figures(rounds=2 if small else 25), tell)
        _tell_all(tables.figures(rows=20_000 if small else 10_000_000, rounds=1 if small else 5), tell)
    if "stack" in groups or "peers" in groups:
        with idle.fresh_folder() as folder:
            _on_stack(Path(folder), groups, tell, small=small)


def _tell_all(figures: Iterable[Figure], tell: Tell) -> None:
    for figure in figures:
        tell(figure)


def _on_stack(folder: Path, groups: Sequence[str], tell: Tell, *, small: bool) -> None:
    """The first start makes everything, the second finds it."""
    data = folder / "stack"
    starts: list[Figure] = []
    if "stack" in groups:
        _now("a stack on a fresh folder")
        with idle.measured_start(data, "fresh folder", 15, starts):
            _tell_all(starts, tell)
    starts.clear()
    _now("a stack on a used folder")
    with idle.measured_start(data, "used folder", 8, starts) as stack:
        if "stack" in groups:
            _tell_all(starts, tell)
            _now("a stack at rest")
            _tell_all(idle.idle(stack, settle=1, watch=2) if small else idle.idle(stack), tell)
        asyncio.run(_of_runs(stack, _parts(folder, groups, runs.SMALL if small else runs.FULL), tell))


def _parts(folder: Path, groups: Sequence[str], size: runs.Size) -> dict[str, Part]:
    """What is measured of runs, the light parts first; the last one leaves a worker that has just started."""
    parts: dict[str, Part] = {}
    if "stack" in groups:
        parts |= {name: partial(part, size=size) for name, part in runs.PARTS.items()}
    if "peers" in groups:
        parts["peers"] = partial(peers.figures, folder=folder, starts=size.starts // 2, burst=size.burst)
    if "stack" in groups:
        parts["a killed worker"] = partial(recovery.figures, rounds=size.kills)
    return parts


async def _of_runs(stack: RunningStack, parts: dict[str, Part], tell: Tell) -> None:
    async with clients(stack) as (client, prefect):
        live = Live(api=await owner(client), prefect=prefect, stack=stack)
        for name, part in parts.items():
            _now(name)
            try:
                async with asyncio.timeout(PART_SECONDS):
                    async for figure in part(live):
                        tell(figure)
            except TimeoutError:
                _now(f"{name}: given up after {PART_SECONDS:.0f} s")


def _now(what: str) -> None:
    """What is measured now, for those who wait; not among the figures."""
    print(f"{time.strftime('%X')} {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
