"""Trying LLM providers out: by a worker, since it opens their credentials and loads what speaks to them."""
