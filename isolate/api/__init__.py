"""The Python API, `run`, `Sandbox` and `Pool`, for programs that run what they don't trust.

Safe from threads; containers are launched by a helper process (see isolate.helper).
"""
