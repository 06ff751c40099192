"""CODE agents: Python of the user's, run in a process of its own."""
