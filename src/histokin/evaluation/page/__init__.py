"""One report engine for every evaluation: a page to look at, and the same numbers as JSON."""
