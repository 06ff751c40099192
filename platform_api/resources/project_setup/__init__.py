"""Making a project with everything that it starts with: stands above the slices that it puts together."""
