"""Sub-image queries: splitting, re-ranking, and the place of a sub-image in a larger one."""
