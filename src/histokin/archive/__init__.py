"""The archive on disk: slides, patches, vectors and the recipe they were made by; exact search and filters."""
