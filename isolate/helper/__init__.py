"""The helper: a small single-threaded process that runs containers for a big or threaded one.

A fork copies the page tables of its parent, and in a threaded parent also locks that nobody will
ever release. So a program that uses isolate as a library starts this process once, and it forks
a worker for each container: one that runs it to its end, or one that keeps it as a sandbox.
"""
