"""Drives the steps of one run; the outside world stands behind `ports`."""
