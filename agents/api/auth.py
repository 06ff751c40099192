"""Puts credentials on a request.

HMAC signs these four lines, joined by a single newline and encoded in UTF-8:

    the method in capitals, for instance POST
    path and query exactly as sent, for instance /v1/items?page=2
    the Unix time in seconds, the same as in the timestamp header
    the SHA-256 of the body in lower-case hexadecimal (of no bytes where there is no body)

The signature, in lower-case hexadecimal, goes into `X-Signature`, the time into `X-Timestamp`, `keyId` into `X-Key-Id`;
the names can be changed in the config. A redirect within the same host is signed anew.
"""

import base64
import hashlib
import hmac
import time

from agents.api.config import ApiKeyAuth, Auth, BasicAuth, BearerAuth, HmacAuth
from agents.egress.outgoing import Outgoing


def authorised(outgoing: Outgoing, auth: Auth | None, token: str | None) -> Outgoing:
    """`token` is that of an OAuth2 config. Leaves a request alone that has left the host it was meant for."""
    if auth is None or not outgoing.trusted:
        return outgoing
    if isinstance(auth, BearerAuth):
        return outgoing.with_headers({"Authorization": f"Bearer {auth.token}"})
    if isinstance(auth, BasicAuth):
        return outgoing.with_headers({"Authorization": basic(auth.username, auth.password)})
    if isinstance(auth, ApiKeyAuth):
        return _with_key(outgoing, auth)
    if isinstance(auth, HmacAuth):
        return outgoing.with_headers(signature_headers(outgoing, auth, int(time.time())))
    return outgoing.with_headers({"Authorization": f"Bearer {token}"})


def basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def signature_headers(outgoing: Outgoing, auth: HmacAuth, timestamp: int) -> dict[str, str]:
    body_hash = hashlib.sha256(outgoing.content).hexdigest()
    lines = (outgoing.method, outgoing.url.raw_path.decode(), str(timestamp), body_hash)
    signature = hmac.new(auth.secret.encode(), "\n".join(lines).encode(), auth.algorithm).hexdigest()
    headers = {auth.signature_header: signature, auth.timestamp_header: str(timestamp)}
    return headers if auth.key_id is None else {**headers, auth.key_id_header: auth.key_id}


def _with_key(outgoing: Outgoing, auth: ApiKeyAuth) -> Outgoing:
    if auth.where == "query":
        return outgoing.with_query({auth.name: auth.value})
    return outgoing.with_headers({auth.name: auth.value})
