"""Programs of the demo's CODE agents, sent as text and run in the sandbox with the standard library alone."""
