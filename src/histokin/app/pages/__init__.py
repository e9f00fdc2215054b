"""Self-contained pages: one HTML file with its pictures inside, readable without a network or the slides."""
