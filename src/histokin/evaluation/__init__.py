"""How good is it? Protocols and tables, always beside chance and a color histogram."""
