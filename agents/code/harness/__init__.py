"""What runs the user's code, inside every sandbox: plain files that import nothing of ours."""
