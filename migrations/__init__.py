"""Alembic's environment: how the schema became what it is."""
