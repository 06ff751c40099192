"""Results too large for the record, in a bucket that speaks S3, with the files that this machine used beside it.

An object appears whole or not at all (S3's own promise, also for an upload in parts) under the hash of its content, so
that a local copy is never stale: a step that reads what another worker wrote fetches it once, checks the hash, and
Polars reads the copy lazily, columns and rows that it needs alone. The copies are bounded; the oldest go first.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from agents.errors import AgentError, ConnectionFailed
from platform_api.kit.result_store import StagedResults, Stored, flush_and_hash, gone, key_of

IN_USE_SECONDS = 3600
"""A copy that was asked for within this time is not removed: a query may be about to open it."""

RETRIES = 3
_CHUNK_BYTES = 4 << 20
_REFUSED = (PermissionDeniedError, UnauthenticatedError)


class S3ResultStore(StagedResults):
    """Keeps them in `bucket`, with copies in the folder `cache`; `name` is what messages call it."""

    def __init__(self, bucket: S3Store, cache: Path, *, name: str, cache_bytes: int) -> None:
        super().__init__(cache)
        self._bucket = bucket
        self._name = name
        self._cache_bytes = cache_bytes

    def locate(self, uri: str) -> Path:
        """A local copy of the file behind a uri; blocks while it is fetched, so call it in a thread.

        Raises `InputInvalid` for anything that no store gave out or that is gone, and `ConnectionFailed`.
        """
        copy = self._folder / key_of(uri)
        if _touched(copy):
            return copy
        self._fetch(uri, copy)
        return copy

    def _take_in(self, staged: Path) -> Stored:
        stored = flush_and_hash(staged)
        with self._understood("written"):
            if not self._has(stored):
                obstore.put(self._bucket, stored.key, staged)
        self._admit(staged, self._folder / stored.key)
        return stored

    def _has(self, stored: Stored) -> bool:
        try:
            return bool(obstore.head(self._bucket, stored.key)["size"] == stored.bytes)
        except (NotFoundError, FileNotFoundError):
            return False

    def _fetch(self, uri: str, copy: Path) -> None:
        staged = self.stage(copy.suffix)
        try:
            with self._understood("read", uri):
                self._download(key_of(uri), staged)
            if flush_and_hash(staged).sha256 != copy.stem:
                raise ConnectionFailed(f"The stored result {uri} came damaged from {self._name}; try again")
            self._admit(staged, copy)
        finally:
            staged.unlink(missing_ok=True)

    def _download(self, key: str, target: Path) -> None:
        with target.open("wb") as file:
            for chunk in obstore.get(self._bucket, key).stream(min_chunk_size=_CHUNK_BYTES):
                file.write(memoryview(chunk))

    def _admit(self, staged: Path, copy: Path) -> None:
        copy.parent.mkdir(exist_ok=True)
        staged.replace(copy)
        _touched(copy)
        self._make_room()

    def _make_room(self) -> None:
        """Removes the copies that were not used for longest, until the rest fits."""
        copies = sorted((each.stat().st_mtime, each.stat().st_size, each) for each in self._copies())
        left = sum(size for _, size, _ in copies)
        for used_at, size, copy in copies:
            if left <= self._cache_bytes or used_at > time.time() - IN_USE_SECONDS:
                return
            copy.unlink(missing_ok=True)
            left -= size

    def _copies(self) -> Iterator[Path]:
        return (each for each in self._folder.glob("[0-9a-f][0-9a-f]/*") if each.is_file())

    @contextmanager
    def _understood(self, what: str, uri: str = "") -> Iterator[None]:
        """Turns the client's errors into ours; their own words may be pages of XML."""
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            raise self._missing(uri) from error
        except (*_REFUSED, PermissionError) as error:
            message = f"The result store {self._name} may not be {what} with these credentials"
            raise ConnectionFailed(message, hint="see TURBOCAT_S3_ACCESS_KEY_ID and the bucket's policy") from error
        except BaseError as error:
            message = f"The result store {self._name} could not be {what} ({type(error).__name__})"
            raise ConnectionFailed(message, hint="see RESULT_STORE_URL and TURBOCAT_S3_ENDPOINT_URL") from error

    def _missing(self, uri: str) -> AgentError:
        return gone(uri) if uri else ConnectionFailed(f"There is no bucket {self._name}", hint="see RESULT_STORE_URL")


def s3_bucket(
    name: str, prefix: str, *, endpoint: str | None, region: str, access_key: str | None, secret: str | None
) -> S3Store:
    """The client of one bucket, below `prefix`; without a key it takes the machine's own role."""
    credentials = {} if access_key is None else {"access_key_id": access_key, "secret_access_key": secret or ""}
    return S3Store(
        name,
        prefix=prefix or None,
        endpoint=endpoint,
        region=region,
        virtual_hosted_style_request=endpoint is None,
        client_options={
            "allow_http": (endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=60),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=30)},
        **credentials,  # type: ignore[arg-type]  # options of the configuration, by name
    )


def _touched(copy: Path) -> bool:
    """Whether the copy is there, which is noted as a use of it."""
    try:
        os.utime(copy)
    except FileNotFoundError:
        return False
    return True
