"""Where everything is wired: worker, Prefect entrypoint, registration, the one-command stack."""
