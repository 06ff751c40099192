"""Random tests here are bounded by their own sizes, not by the clock of a machine that others use too."""

from hypothesis import settings

settings.register_profile("compiler", deadline=None, database=None)
settings.load_profile("compiler")
