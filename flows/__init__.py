"""The workflow language, its compiler (definition to plan to Prefect flow) and the runtime that drives steps."""
