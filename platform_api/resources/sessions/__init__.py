"""A login and what follows it: one family of refresh tokens, which its user can see and end."""
