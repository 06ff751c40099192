"""Brings workflows of other systems into the platform, through the public REST API alone."""
