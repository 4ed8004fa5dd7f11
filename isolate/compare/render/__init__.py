"""Renderings of a comparison's document. They read it and never measure."""
