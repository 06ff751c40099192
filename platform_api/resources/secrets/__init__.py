"""Secrets: named values of a tenant or a project that runs may use and nobody may read."""
