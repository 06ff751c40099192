"""Engine, base repository and tables."""
