"""A store that speaks the part of Azure's blob service that clients of tables use, and checks every signature.

A request is signed with the account's key (SharedKey), or its URL holds a signature of the container (SAS).
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

from tests.agents.http_server import Received, reply
from tests.fakes.object_store import MODIFIED, Denied, Store, elements, found

ACCOUNT = "acme"
_SIGNED_HEADERS = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
_SAS_FIELDS = (
    *("sp", "st", "se", "", "si", "sip", "spr", "sv", "sr"),
    *("snapshot", "ses", "rscc", "rscd", "rsce", "rscl", "rsct"),
)
"""Of a container's signature, version 2020-12-06 and later; the empty one is the resource."""

_NEEDED = {"GET": "r", "HEAD": "r", "PUT": "w", "DELETE": "d", "POST": "d"}


def sas_token(key: bytes, container: str, *, permissions: str = "rwdl", expires: str = "2099-01-01T00:00:00Z") -> str:
    """A token for all blobs of a container."""
    fields = {"sp": permissions, "se": expires, "sv": "2022-11-02", "sr": "c"}
    return urlencode({**fields, "sig": _sas_signature(key, container, fields)})


@dataclass
class AzureBlobs(Store):
    """Answers requests; `public` containers are read without a signature."""

    key: bytes

    def answer(self, request: Received) -> bytes:
        container, name = self.blobs.named(request)
        try:
            self._authorize(request, container, name)
        except Denied as denied:
            self.refused.append(f"{request.method} {request.target}: {denied}")
            return _error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
        if container not in self.blobs.containers:
            return _error(404, "ContainerNotFound", "The specified container does not exist.")
        if request.query.get("comp") == "batch":
            return self._batch(request)
        return self._of_blob(request, container, name) if name else self._listed(request, container)

    def _authorize(self, request: Received, container: str, name: str) -> None:
        query = request.query
        if "authorization" in request.headers:
            expected = f"SharedKey {ACCOUNT}:{_signature(self.key, _string_to_sign(request))}"
            if not hmac.compare_digest(request.headers["authorization"], expected):
                raise Denied("the signature is not that of the account's key")
            return
        if "sig" not in query:
            if container not in self.public or request.method not in ("GET", "HEAD"):
                raise Denied("no signature")
            return
        needed = "l" if request.query.get("comp") == "list" else _NEEDED[request.method]
        if query["sig"] != _sas_signature(self.key, container, query) or needed not in query["sp"]:
            raise Denied("the token does not allow it")
        if datetime.fromisoformat(query["se"]) < datetime.now(UTC):
            raise Denied("the token has expired")

    def _of_blob(self, request: Received, container: str, name: str) -> bytes:
        blobs = self.blobs.containers[container]
        if request.method == "PUT":
            return self._written(request, container, name)
        if name not in blobs:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        if request.method == "DELETE":
            del blobs[name]
            return reply(202)
        return found(blobs[name], request, _tag(blobs[name]))

    def _batch(self, request: Received) -> bytes:
        """Deletes of several blobs, each signed for itself."""
        boundary = request.headers["content-type"].partition("boundary=")[2]
        parts = request.body.decode().split(f"--{boundary}")[1:-1]
        answers = [self.answer(_inner(part)) for part in parts]
        body = b"".join(
            b"--answers\r\nContent-Type: application/http\r\nContent-ID: %d\r\n\r\n%s\r\n" % (number, answer)
            for number, answer in enumerate(answers)
        )
        return reply(202, body + b"--answers--\r\n", content_type="multipart/mixed; boundary=answers")

    def _written(self, request: Received, container: str, name: str) -> bytes:
        blobs, query = self.blobs.containers[container], request.query
        source = request.headers.get("x-ms-copy-source")
        if query.get("comp") == "block":
            self.blobs.blocks[container, name, query["blockid"]] = request.body
            return reply(201)
        if source is not None:
            blobs[name] = blobs[unquote(urlsplit(source).path).split("/", 2)[2]]
            return reply(202, b"", x_ms_copy_status="success", etag=_tag(blobs[name]), last_modified=MODIFIED)
        if query.get("comp") == "blocklist":
            ids = re.findall("<Uncommitted>([^<]*)</Uncommitted>", request.body.decode())
            blobs[name] = b"".join(self.blobs.blocks.pop((container, name, each)) for each in ids)
        else:
            assert request.headers["x-ms-blob-type"] == "BlockBlob"
            blobs[name] = request.body
        return reply(201, b"", etag=_tag(blobs[name]), last_modified=MODIFIED)

    def _listed(self, request: Received, container: str) -> bytes:
        query = request.query
        assert (query["restype"], query["comp"]) == ("container", "list")
        names, following = self.blobs.page(container, query.get("prefix", ""), query.get("marker", ""))
        blobs = self.blobs.containers[container]
        rows = [
            f"<Name>{escape(name)}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified>"
            f"<Etag>{_tag(blobs[name])}</Etag><Content-Length>{len(blobs[name])}</Content-Length>"
            "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType></Properties>"
            for name in names
        ]
        text = f"<Blobs>{''.join(elements('Blob', rows))}</Blobs><NextMarker>{escape(following)}</NextMarker>"
        return reply(200, f"<EnumerationResults>{text}</EnumerationResults>".encode(), content_type="application/xml")


def _inner(part: str) -> Received:
    first, *lines = part.partition("\r\n\r\n")[2].strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Received(method=method, target=target, headers=headers, body=b"")


def _string_to_sign(request: Received) -> str:
    """As Azure's documentation of Shared Key has it, version 2015-02-21 and later."""
    headers = {**request.headers}
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    plain = [request.method, *(headers.get(name, "") for name in _SIGNED_HEADERS)]
    own = [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
    pairs = sorted((name.lower(), value) for name, value in parse_qsl(urlsplit(request.target).query))
    resource = [f"/{ACCOUNT}{request.path}", *(f"{name}:{value}" for name, value in pairs)]
    return "\n".join([*plain, *own, *resource])


def _sas_signature(key: bytes, container: str, fields: dict[str, str]) -> str:
    texts = (fields.get(name, "") if name else f"/blob/{ACCOUNT}/{container}" for name in _SAS_FIELDS)
    return _signature(key, "\n".join(texts))


def _signature(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()


def _tag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _error(status: int, code: str, message: str) -> bytes:
    body = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return reply(status, body.encode(), content_type="application/xml", x_ms_error_code=code)
