"""`/docs` and `/openapi.json` under the base path."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from platform_api.resources.documentation.service import docs_page, docs_policy

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def get_docs_page() -> HTMLResponse:
    """The API for people."""
    return HTMLResponse(docs_page(), headers={"Content-Security-Policy": docs_policy()})


@router.get("/openapi.json")
async def get_openapi_document(request: Request) -> JSONResponse:
    """The API for machines, without an envelope."""
    document: dict[str, Any] = request.app.openapi()
    return JSONResponse(document)
