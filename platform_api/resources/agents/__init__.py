"""Agents: what a workflow's steps run, with their versions, visibility and lifecycle."""
