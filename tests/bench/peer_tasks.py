"""Prefect as it comes, doing the same as our runs do. Run as a module in processes of its own, never imported.

`serve` runs background tasks until it is ended. `delay COUNT CLIENTS FOLDER` starts some, each of which writes when its
first line ran and, behind three tasks, when it was done. The flow is what a stock process worker runs.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect import flow, task
from prefect.task_worker import serve


@task
def light(value: int) -> int:
    """One light step."""
    return value + 1


@task
def in_background(path: str) -> None:
    """A background task of three light steps."""
    first = time.time()
    light(light(light(0)))
    _write(path, first)


@task
def first_step(path: str) -> None:
    """The first step of the flow."""
    _write(path, time.time())


@flow
def one_task(path: str) -> None:
    """What a stock worker runs."""
    first_step(path)


def _write(path: str, first: float) -> None:
    Path(path).write_text(json.dumps({"first": first, "done": time.time()}))


def _delay(count: int, clients: int, folder: Path) -> None:
    """Starts so many by so many clients; prints when each was started, by the file that it will write."""

    def start(number: int) -> tuple[str, float]:
        path = str(folder / f"{number}.json")
        begun = time.time()
        in_background.delay(path)
        return path, begun

    with ThreadPoolExecutor(clients) as pool:
        sys.stdout.write(json.dumps(dict(pool.map(start, range(count)))))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(in_background)
    else:
        _delay(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
