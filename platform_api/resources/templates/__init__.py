"""Templates: agents and workflows to be made from, public ones for everybody."""
