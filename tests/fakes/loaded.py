"""A command that says when it has been loaded, and with which command line it goes on."""

import sys

sys.stdout.write("loaded\n")
sys.stdout.flush()


def main() -> int:
    """Says it."""
    sys.stdout.write(f"goes on as {sys.argv}\n")
    return 3
