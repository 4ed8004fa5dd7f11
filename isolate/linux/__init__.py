"""One module per kernel facility; they raise plain OSError and know no types of isolate."""
