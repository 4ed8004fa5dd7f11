"""The LXC backend: containers by the commands of LXC 5."""
