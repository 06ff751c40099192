"""Folders of an object store: many objects that come and go together, as far as a store lets them.

The objects are sent under names that no pattern for tables finds, and copied to their own by the store when all are
there, which takes moments. What the folder held of such a table before goes last. Whatever fails before that, the
folder is as it was.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import BaseError

from agents.data.addresses import Located, bucket_and_key
from agents.data.partitions import is_of_table
from agents.data.remote.objects import Store, store_of, unreachable

AT_ONCE = 8
CLEANING_SECONDS = 20.0
CLEANING_SECONDS_WHEN_CANCELLED = 2.0

Item = TypeVar("Item")


async def send_folder(located: Located, proxy: str, folder: Path, files: Sequence[Path]) -> None:
    """Makes the files of a partitioned table the ones below the URL. Raises `ConnectionFailed`."""
    bucket, key = bucket_and_key(located.url)
    store, root, token = store_of(located, bucket, proxy), key.rstrip("/"), secrets.token_hex(8)
    names = [f"{root}/{file.relative_to(folder).parent}/{token}-{number}.parquet" for number, file in enumerate(files)]
    parts = [f"{root}/_unfinished-{token}/{number}" for number in range(len(files))]
    try:
        before = await _tables_objects(store, root)
        try:
            await _each(zip(parts, files, strict=True), lambda each: _put(store, *each))
            await _each(zip(parts, names, strict=True), lambda each: obstore.copy_async(store, *each))
        except BaseException as error:
            await _clean(store, [*parts, *names], error)
            raise
        await _each([*parts, *before], lambda name: _delete(store, name))
    except (BaseError, OSError) as error:
        raise unreachable(located, error) from error


async def _put(store: Store, name: str, file: Path) -> None:
    await obstore.put_async(store, name, file)


async def _tables_objects(store: Store, root: str) -> list[str]:
    """What partitioned tables have left below the folder; other objects are not touched."""
    found: list[str] = []
    async for batch in obstore.list(store, prefix=root):
        found += [each["path"] for each in batch if is_of_table(each["path"].removeprefix(f"{root}/"))]
    return found


async def _each(items: Iterable[Item], work: Callable[[Item], Awaitable[object]]) -> None:
    """After the first failure, which is raised, nothing more is begun; what is at work comes to its end, so that
    nothing appears later on."""
    failures: list[Exception] = []
    left = iter(items)

    async def lane() -> None:
        for item in left:
            try:
                await work(item)
            except (BaseError, OSError) as error:
                failures.append(error)
            if failures:
                return

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    if failures:
        raise failures[0]


async def _clean(store: Store, names: Sequence[str], reason: BaseException) -> None:
    """Takes back what was sent; a store that is away keeps the unfinished objects, which no table's pattern finds."""
    is_cancelled = isinstance(reason, asyncio.CancelledError)
    try:
        async with asyncio.timeout(CLEANING_SECONDS_WHEN_CANCELLED if is_cancelled else CLEANING_SECONDS):
            await _each(names, lambda name: _delete(store, name))
    except (BaseError, OSError):
        return


async def _delete(store: Store, name: str) -> None:
    try:
        await obstore.delete_async(store, name)
    except FileNotFoundError:
        return
