"""What runs inside: attempts as plain functions, carried in as text with all that they import.

These modules import the standard library and one another, and nothing else: inside there is only
a Python. An attempt takes JSON and returns JSON, or raises OSError; it runs in a child of its own.
"""
