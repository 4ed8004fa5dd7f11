"""The comparison: what each backend isolates, what it costs, and the document that says both."""
