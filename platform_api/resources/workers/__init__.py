"""The workers that there are, as far as what they say of themselves decides what is accepted."""
