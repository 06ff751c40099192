"""Pictures of results: bounded figures made by Polars, drawn in a process of their own."""
