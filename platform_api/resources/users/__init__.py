"""People: one's own profile and password."""
