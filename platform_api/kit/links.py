"""Links in mail: to the front end where one is known, else the bare code and where to send it."""

from urllib.parse import quote


class Links:
    """`base_url` is the front end's, without a slash at its end; None when there is none."""

    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url.rstrip("/") if base_url else None

    def paragraph(self, action: str, token: str) -> str:
        """How to do `action` (`reset-password`): it names the page of the front end and the path below `/auth`."""
        if self._base_url is None:
            return f"Send this code to POST /api/v1/auth/{action} as `token`:\n\n    {token}"
        return f"Open this link:\n\n    {self._base_url}/{action}?token={quote(token)}"
