"""WORKFLOW agents: a step that runs another workflow. What they run is part of the plan; the runtime drives it."""
