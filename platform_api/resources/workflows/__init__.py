"""Workflows: definitions with their steps, versions and Prefect deployments."""
