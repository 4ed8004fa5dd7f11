"""The catalogue of probes, one module for each group."""
