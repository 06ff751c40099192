"""`GET /executions/{id}/artifacts` and `GET /artifacts/{id}`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from starlette.responses import StreamingResponse

from platform_api.access.dependencies import permits, requires
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.scope import TenantScope
from platform_api.errors import RangeNotSatisfiable
from platform_api.kit.byte_ranges import Span, requested_span
from platform_api.kit.envelope import errors, page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import PageEnvelope
from platform_api.resources.artifacts.conversion import MEDIA_TYPES
from platform_api.resources.artifacts.schemas import ArtifactView, Format
from platform_api.resources.artifacts.service import ArtifactService, Download, Downloads

router = APIRouter(tags=["Executions"])


def _downloads(request: Request) -> Downloads:
    found: Downloads = request.app.state.downloads
    return found


Reader = Annotated[TenantScope, requires(Permission.EXECUTIONS_READ)]
Caller = Annotated[Principal, permits(Permission.EXECUTIONS_READ)]
DownloadsDep = Annotated[Downloads, Depends(_downloads)]
RangeHeader = Annotated[str | None, Header(alias="Range", max_length=200, description="One span: `bytes=0-1023`")]
IfRangeHeader = Annotated[
    str | None, Header(alias="If-Range", max_length=200, description="The `ETag` that `Range` goes on from")
]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE = {
    "description": "The file; not in an envelope",
    "content": {"application/octet-stream": _BINARY, **dict.fromkeys(MEDIA_TYPES.values(), _BINARY)},
}
_SPAN = {**_FILE, "description": "The span that `Range` asks for"}


@router.get("/executions/{execution_id}/artifacts", responses=errors(400, 401, 403, 404))
async def list_execution_artifacts(execution_id: UUID, scope: Reader, paging: PagingDep) -> PageEnvelope[ArtifactView]:
    """The datasets and files that the execution's steps have made, also those that a retry took over."""
    found, total = await ArtifactService(scope).page(execution_id, paging)
    return page_of(found, total, paging)


@router.get(
    "/artifacts/{artifact_id}",
    response_class=Response,
    responses={**errors(400, 401, 403, 404, 416, 503), 200: _FILE, 206: _SPAN},
)
async def download_artifact(
    artifact_id: UUID,
    caller: Caller,
    downloads: DownloadsDep,
    wanted: Annotated[
        Format | None, Query(alias="format", description="Converts a table; as stored when left out")
    ] = None,
    asked: RangeHeader = None,
    condition: IfRangeHeader = None,
) -> Response:
    """The file, whole or a span of it (`Range`, `If-Range`); tables also converted to another `format`.

    Cells stay data: in CSV a text that begins with `=`, `+`, `-` or `@` is written as it is, and a spreadsheet may
    take it for a formula. Import such a column as text, or let the DATA agent's sink escape it.
    """
    download = await downloads.open(artifact_id, caller, wanted)
    try:
        span = requested_span(asked, condition, size=download.size, etag=download.etag)
    except RangeNotSatisfiable:
        download.file.close()
        raise
    return _answer(download, span)


def _answer(download: Download, span: Span | None) -> Response:
    sent = span or Span(start=0, stop=download.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": download.disposition,
        "Content-Encoding": "identity",  # compression would make other bytes than those that tag and spans speak of
        "Content-Length": str(sent.bytes),
        "ETag": download.etag,
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{download.size}"
    return StreamingResponse(
        download.pieces(sent),
        status_code=status.HTTP_200_OK if span is None else status.HTTP_206_PARTIAL_CONTENT,
        headers=headers,
        media_type=download.media_type,
    )
