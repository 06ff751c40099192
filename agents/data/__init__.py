"""DATA agents: a list of operations on one table, run lazily by Polars.

`config` and what it imports are light enough for the API process; `executor` belongs to workers.
"""
