"""The one-command stack on this machine."""
