"""Executions: what ran, what it did, and the only writer of that record (`journal`)."""
