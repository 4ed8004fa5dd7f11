"""System call filters: the default profile, Docker's and OCI's, compiling, caching, loading.

`cache` and `load` are the hot path; the rest is imported only when a filter isn't cached.
"""
