"""Budgets of projects: what their runs have used of models, what is left, and who may go on."""
