"""The OpenAPI document: what FastAPI knows of each route, and what all of them have in common."""
