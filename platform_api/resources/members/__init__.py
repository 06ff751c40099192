"""Who belongs to a tenant with which role, and who was asked to."""
