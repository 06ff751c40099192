"""A store that speaks the part of Google's XML API that clients of tables use, and believes signed tokens alone.

A token is what a service account signs for itself: RS256 over header and claims, checked with the account's public key.
"""

import base64
import hashlib
import json
import re
import time
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.agents.http_server import Received, reply
from tests.fakes.object_store import MODIFIED_ISO, Denied, Store, elements, found

EMAIL = "reader@example.com"


def new_key() -> tuple[rsa.RSAPublicKey, str]:
    """The public half of a new account, and its key file."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = {
        "type": "service_account",
        "client_email": EMAIL,
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return private.public_key(), json.dumps(file)


@dataclass
class GoogleStorage(Store):
    """Answers requests; `public` buckets are read without a token."""

    account: rsa.RSAPublicKey

    def answer(self, request: Received) -> bytes:
        bucket, name = self.blobs.named(request)
        try:
            self._authorize(request, bucket)
        except Denied as denied:
            self.refused.append(f"{request.method} {request.target}: {denied}")
            return _error(401 if "authorization" in request.headers else 403, "AccessDenied", str(denied))
        if bucket not in self.blobs.containers:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self._of_blob(request, bucket, name) if name else self._listed(request, bucket)

    def _authorize(self, request: Received, bucket: str) -> None:
        if bucket in self.public and request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            return
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer":
            raise Denied("Anonymous caller does not have access to the bucket.")
        signed, _, signature = token.rpartition(".")
        try:
            self.account.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims = json.loads(_decoded(signed.partition(".")[2]))
        except (InvalidSignature, ValueError):
            raise Denied("Invalid Credentials") from None
        if claims["iss"] != EMAIL or claims["exp"] < time.time():
            raise Denied("Invalid Credentials")

    def _of_blob(self, request: Received, bucket: str, name: str) -> bytes:
        blobs = self.blobs.containers[bucket]
        if request.method == "POST" or "uploadId" in request.query:
            return self._in_parts(request, bucket, name)
        if request.method == "PUT":
            source = request.headers.get("x-goog-copy-source")
            blobs[name] = request.body if source is None else self._source(source)
            return reply(200, b"", etag=_tag(blobs[name]))
        if name not in blobs:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        if request.method == "DELETE":
            del blobs[name]
            return reply(204)
        return found(blobs[name], request, _tag(blobs[name]))

    def _in_parts(self, request: Received, bucket: str, name: str) -> bytes:
        """An upload of several parts: begun, a part of it, or brought together."""
        query = request.query
        if request.method == "PUT":
            self.blobs.blocks[bucket, name, query["partNumber"]] = request.body
            return reply(200, b"", etag=f'"{_tag(request.body)}"')
        if "uploadId" not in query:
            return reply(200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
        numbers = re.findall("<PartNumber>([^<]*)</PartNumber>", request.body.decode())
        content = b"".join(self.blobs.blocks.pop((bucket, name, number)) for number in numbers)
        self.blobs.containers[bucket][name] = content
        body = f"<CompleteMultipartUploadResult><ETag>{_tag(content)}</ETag></CompleteMultipartUploadResult>"
        return reply(200, body.encode(), content_type="application/xml")

    def _source(self, written: str) -> bytes:
        bucket, name = self.blobs.named(Received(method="GET", target=f"/{written}", headers={}, body=b""))
        return self.blobs.containers[bucket][name]

    def _listed(self, request: Received, bucket: str) -> bytes:
        query = request.query
        names, following = self.blobs.page(bucket, query.get("prefix", ""), query.get("continuation-token", ""))
        blobs = self.blobs.containers[bucket]
        rows = [
            f"<Key>{escape(name)}</Key><LastModified>{MODIFIED_ISO}</LastModified>"
            f"<ETag>{_tag(blobs[name])}</ETag><Size>{len(blobs[name])}</Size>"
            for name in names
        ]
        text = "".join(elements("Contents", rows))
        if following:
            text += f"<NextContinuationToken>{escape(following)}</NextContinuationToken>"
        return reply(200, f"<ListBucketResult>{text}</ListBucketResult>".encode(), content_type="application/xml")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _tag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _error(status: int, code: str, message: str) -> bytes:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return reply(status, body.encode(), content_type="application/xml")
