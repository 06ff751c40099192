"""Object stores: S3, Google Cloud Storage, Azure. Every connection goes through the tunnel of the egress guard."""

import json
import re
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from agents.data.addresses import Credentials, Located, bucket_and_key, label_of
from agents.data.failures import polars_reason
from agents.errors import ConfigInvalid, ConnectionFailed, LimitExceeded

Store = S3Store | GCSStore | AzureStore

MAX_RETRIES = 3
RETRY_SECONDS = 30
_REFUSED = re.compile(r"status code: 40[13]\b|lacked the necessary privileges|valid authentication credentials")
_MALFORMED = re.compile(r"Invalid Access Key|SAS query pair|CryptoProvider|reading pem", re.IGNORECASE)
"""Such messages spell out characters of the key."""
_MISSING = re.compile(r"status code: 404\b|^Object at location .* not found|^expanded paths were empty", re.IGNORECASE)
_CREDENTIALS = {
    "s3": '"accessKeyId" and "secretAccessKey"',
    "gs": '"serviceAccountKey"',
    "az": '"accountName" with "accountKey" or "sasToken"',
}
_KEY_FIELDS = ("type", "client_email", "private_key", "private_key_id")
"""All that is taken from a key file of Google's: others say where to connect to."""


def storage_options(located: Located, proxy: str) -> dict[str, Any]:
    """For Polars' own readers; nothing is left for them to find on the worker."""
    client = {"proxy_url": proxy, "allow_http": str(_is_plain(located)).lower()}
    retries = {"max_retries": MAX_RETRIES, "retry_timeout_ms": RETRY_SECONDS * 1000}
    return {**_access(located), **client, **retries}


async def fetch_object(located: Located, proxy: str, target: Path, limit: int) -> None:
    """Copies one object to a file. Raises `ConnectionFailed` or `LimitExceeded`."""
    bucket, key = bucket_and_key(located.url)
    try:
        found = await obstore.get_async(store_of(located, bucket, proxy), key)
        if found.meta["size"] > limit:
            raise too_large(located.url, limit)
        with target.open("wb") as file:
            async for part in found.stream():
                file.write(part)
    except (BaseError, OSError) as error:
        raise unreachable(located, error) from error


async def send_object(located: Located, proxy: str, file: Path) -> None:
    """Makes the object, which appears when all of it has arrived. Raises `ConnectionFailed`."""
    bucket, key = bucket_and_key(located.url)
    try:
        await obstore.put_async(store_of(located, bucket, proxy), key, file)
    except (BaseError, OSError) as error:
        raise unreachable(located, error) from error


def too_large(url: str, limit: int) -> LimitExceeded:
    message = f"{label_of(url)} is larger than {limit // 2**20} MiB"
    return LimitExceeded(message, code="RESPONSE_TOO_LARGE", details={"limitBytes": limit})


def unreachable(located: Located, error: BaseException) -> ConnectionFailed:
    """The failure of a store's client, in words that say what to change."""
    return ConnectionFailed(f"{label_of(located.url)}: {reason_of(located, error)}")


def reason_of(located: Located, error: BaseException) -> str:
    """What a client of object stores reports, who says more about itself than about what is wrong."""
    reason = polars_reason(error)
    scheme = located.url.partition("://")[0]
    if _MALFORMED.search(reason):
        return f"these credentials are not well-formed; check {_CREDENTIALS[scheme]}"
    if _REFUSED.search(reason):
        if located.credentials is None or located.credentials.model_fields_set <= {"account_name"}:
            return f'the store asks for credentials; give {_CREDENTIALS[scheme]} in "credentials"'
        return f"the store refuses these credentials; check {_CREDENTIALS[scheme]}, and what they may do there"
    return "there is nothing of this name" if _MISSING.search(reason) else reason


def store_of(located: Located, bucket: str, proxy: str) -> Store:
    """The bucket, reached through the tunnel alone."""
    config: Any = _access(located)
    client: Any = {"proxy_url": proxy, "allow_http": _is_plain(located)}
    match located.url.partition("://")[0]:
        case "s3":
            return S3Store(bucket, config=config, client_options=client)
        case "gs":
            return GCSStore(bucket, config=config, client_options=client)
        case _:
            return AzureStore(bucket, config=config, client_options=client)


def _is_plain(located: Located) -> bool:
    return (located.endpoint_url or "").lower().startswith("http:")


def _access(located: Located) -> dict[str, Any]:
    credentials = located.credentials or Credentials()
    match located.url.partition("://")[0]:
        case "s3":
            return _s3(located, credentials)
        case "gs":
            return _google(located, credentials)
        case _:
            return _azure(located, credentials)


def _s3(located: Located, credentials: Credentials) -> dict[str, Any]:
    options = {
        "aws_access_key_id": credentials.access_key_id,
        "aws_secret_access_key": credentials.secret_access_key,
        "aws_session_token": credentials.session_token,
        "aws_region": located.region or "us-east-1",
        "aws_endpoint_url": located.endpoint_url,
        "aws_skip_signature": None if credentials.access_key_id else "true",
    }
    return {name: value for name, value in options.items() if value is not None}


def _google(located: Located, credentials: Credentials) -> dict[str, Any]:
    if credentials.service_account_key is None and located.endpoint_url is None:
        return {"google_skip_signature": "true"}
    key = _service_account(credentials.service_account_key)
    if located.endpoint_url is not None:
        key |= {"gcs_base_url": located.endpoint_url, "disable_oauth": credentials.service_account_key is None}
    return {"google_service_account_key": json.dumps(key)}


def _service_account(text: str | None) -> dict[str, Any]:
    if text is None:
        return dict.fromkeys(_KEY_FIELDS, "")
    try:
        key = json.loads(text)
        return {name: str(key[name]) for name in _KEY_FIELDS}
    except (ValueError, KeyError, TypeError):
        message = '"serviceAccountKey" is the JSON text of a service account\'s key file'
        raise ConfigInvalid(message, path="credentials.serviceAccountKey") from None


def _azure(located: Located, credentials: Credentials) -> dict[str, Any]:
    options = {
        "azure_storage_account_name": credentials.account_name,
        "azure_storage_account_key": credentials.account_key,
        "azure_storage_sas_key": credentials.sas_token,
        "azure_storage_endpoint": located.endpoint_url,
        "azure_skip_signature": None if credentials.account_key or credentials.sas_token else "true",
    }
    return {name: value for name, value in options.items() if value is not None}
