"""The docs page and the policy that lets a browser run it: nothing but what stands in the page itself."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

_PAGE = Path(__file__).with_name("page.html")


@cache
def docs_page() -> str:
    """The page, which reads `openapi.json` beside it."""
    return _PAGE.read_text(encoding="utf-8")


@cache
def docs_policy() -> str:
    """Content-Security-Policy with the digests of the page's own style and script."""
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_digests('style')}",
            f"script-src {_digests('script')}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _digests(tag: str) -> str:
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", docs_page(), flags=re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in contents)
