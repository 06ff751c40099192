"""Definition to plan: checks, graph, expressions."""
