"""The bubblewrap backend: containers by bwrap(1)."""
