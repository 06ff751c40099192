"""What stops the one-command stack before or while it runs; each message is one line for a person at a terminal."""


class StackError(Exception):
    """The stack cannot start or go on; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ServiceFailed(StackError):
    """A part of the stack did not come up, or died too often; `lines` are the last ones of its log."""

    def __init__(self, message: str, *, hint: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.lines = lines
