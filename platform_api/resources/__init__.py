"""One folder per resource: router, schemas, service, repository."""
