"""What holds a process that has loaded until what it needs is there: everything loads at once, and begins in order."""

import os


class Gate:
    """A pipe that nothing is written to: a process waits at its end (`deployments.start --when`).

    Once open it stays open, for a process that is started again as well.
    """

    def __init__(self) -> None:
        self.descriptor, writer = os.pipe()
        self._writer: int | None = writer

    def open(self) -> None:
        """Lets all through that wait, and all that come later."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def close(self) -> None:
        """For the end: nobody comes any more."""
        self.open()
        os.close(self.descriptor)
