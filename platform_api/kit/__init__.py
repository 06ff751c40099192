"""Small mechanics that every slice shares, each file named by what it does."""
