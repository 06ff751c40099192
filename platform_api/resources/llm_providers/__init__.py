"""LLM providers: where a tenant's LLM agents get their answers, with which key, in which order, and at what price."""
