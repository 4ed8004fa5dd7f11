"""The cases, in the order of the page. Each has `run(setup)`, which gives a Result."""
