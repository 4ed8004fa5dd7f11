"""Launches for measuring: a small process of their own, so that the comparing one costs nothing."""
