"""Detached containers: one supervisor per state directory runs them, logs them, restarts them.

`isolate.supervisor.client` is the way to it; it is started when it is needed and ends by itself.
"""
