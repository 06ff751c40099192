"""Imported by the fork server, so that a warm process is forked with everything loaded.

Nothing may run here that starts a thread which a fork would lose: Polars is imported, never asked anything.
"""

import gc

import deployments.worker.child  # noqa: F401  # the whole point: its import tree is what a warm process needs

gc.collect()
gc.freeze()
