"""The OpenAPI document, and a page that a person can read it on without any network."""
