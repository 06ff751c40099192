"""What runs models for LLM agents: whose they are, what they cost, and how much of them a run may use.

Loads no client and opens no connection, so that the API process may import it.
"""
