"""Which result store the settings name. Every process of the platform opens the same one."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from flows.runtime.ports import ResultStore
from platform_api.kit.result_store import LocalResultStore
from platform_api.kit.s3_results import S3ResultStore, s3_bucket
from platform_api.settings import Settings


def open_result_store(settings: Settings) -> ResultStore:
    """A folder, or a bucket with its local copies."""
    runs = settings.runs
    if not runs.result_store_url.startswith("s3://"):
        return LocalResultStore(Path(runs.result_store_url or settings.data_dir / "results"))
    parts = urlsplit(runs.result_store_url)
    bucket = s3_bucket(
        parts.netloc,
        parts.path.strip("/"),
        endpoint=runs.s3_endpoint_url,
        region=runs.s3_region,
        access_key=_text(runs.s3_access_key_id),
        secret=_text(runs.s3_secret_access_key),
    )
    cache = settings.data_dir / "result-cache"
    return S3ResultStore(bucket, cache, name=runs.result_store_url, cache_bytes=runs.result_cache_bytes)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
