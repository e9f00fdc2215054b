"""Feature files: the vectors of an archive for other programs, and other programs' vectors in an archive."""
