"""Processes of the platform, each started with `python -m`: what they import stays out of the command line."""
