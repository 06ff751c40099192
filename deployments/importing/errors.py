"""What an import can fail with."""


class ImportFailed(Exception):
    """The import cannot go on; `hint` says what to do, `lines` are the details for a person."""

    def __init__(self, message: str, *, hint: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = lines
