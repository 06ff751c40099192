"""API agents: one HTTP request, or the pages of one, behind the egress guard."""
