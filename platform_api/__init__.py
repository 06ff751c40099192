"""The REST contract, access control and everything that is stored."""
