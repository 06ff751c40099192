"""What the demo can fail with."""


class DemoFailed(Exception):
    """The demo cannot go on; `lines` are the details for a person."""

    def __init__(self, message: str, *, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.lines = lines
