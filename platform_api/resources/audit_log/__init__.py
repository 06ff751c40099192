"""Who did what, and what it changed. Written by every slice, read by the tenant's managers."""
