"""Proving who one is: registration, login, rotation of tokens, logout, change of password."""
