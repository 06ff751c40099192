"""The Prefect worker that keeps its processes warm."""
