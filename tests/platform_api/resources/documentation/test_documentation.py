"""The docs page works without any network, under a policy that allows nothing else."""

import re
from base64 import b64encode
from hashlib import sha256

import httpx

from platform_api.main import openapi_document


async def test_the_document_has_no_envelope(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/openapi.json")).json() == openapi_document()


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/docs")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert re.findall(r"https?://|src=|<link|@import|url\(", answer.text) == []


async def test_the_policy_allows_the_pages_own_script_and_style(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/docs")
    policy = answer.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, flags=re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"\son\w+=|\sstyle=", answer.text) == []
