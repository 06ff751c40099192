"""Projects: groups of agents and workflows with limits, a budget, secrets and a key of their own."""
