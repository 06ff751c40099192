"""`make bench`: a table for people, one JSON line per figure for machines. `--small` only shows that it works.

    code    expressions, compilation, sandboxes and tables, without a stack
    stack   the one-command stack: start, rest, runs, and what a killed worker costs
    peers   the same on stock parts of Prefect, on the same stack

Everything unless some are named: `make bench ARGS="code"`.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from tests.bench import compilation, expressions, idle, peers, recovery, runs, sandbox, tables
from tests.bench.measure import Figure
from tests.factories.api import owner
from tests.fixtures.live import Live, clients
from tests.fixtures.stack import RunningStack

GROUPS = ("code", "stack", "peers")


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
    measured = []
    for figure in _measure(chosen.groups or GROUPS, small=chosen.small):
        print(figure.as_row(), flush=True)
        measured.append(figure)
    for figure in measured:
        print(json.dumps(figure.as_json(), ensure_ascii=False))


def _measure(groups: tuple[str, ...] | list[str], *, small: bool) -> Iterator[Figure]:
    if "code" in groups:
        yield from expressions.figures(rounds=2 if small else 9, repeat=20 if small else 2_000)
        yield from compilation.figures(steps=50 if small else 1_000, rounds=2 if small else 7)
        yield from sandbox.figures(rounds=2 if small else 25)
        yield from tables.figures(rows=20_000 if small else 10_000_000, rounds=1 if small else 5)
    if "stack" in groups or "peers" in groups:
        with idle.fresh_folder() as folder:
            yield from _on_stack(Path(folder), groups, small=small)


def _on_stack(folder: Path, groups: tuple[str, ...] | list[str], *, small: bool) -> Iterator[Figure]:
    """The first start makes everything, the second finds it."""
    starts: list[Figure] = []
    data = folder / "stack"
    if "stack" in groups:
        with idle.measured_start(data, "fresh folder", 15, starts):
            pass
    with idle.measured_start(data, "used folder", 8, starts) as stack:
        if "stack" in groups:
            yield from starts
            yield from idle.idle(stack, settle=1, watch=2) if small else idle.idle(stack)
        yield from asyncio.run(_of_runs(stack, folder, groups, runs.SMALL if small else runs.FULL))


async def _of_runs(
    stack: RunningStack, folder: Path, groups: tuple[str, ...] | list[str], size: runs.Size
) -> list[Figure]:
    async with clients(stack) as (client, prefect):
        live = Live(api=await owner(client), prefect=prefect, stack=stack)
        found = [figure async for figure in runs.figures(live, size)] if "stack" in groups else []
        if "peers" in groups:
            burst = peers.figures(live, folder, starts=size.starts // 2, burst=size.burst)
            found += [figure async for figure in burst]
        if "stack" in groups:  # the last: it leaves a worker that has just started
            found += [figure async for figure in recovery.figures(live, rounds=size.rounds)]
    return found


if __name__ == "__main__":
    main()
