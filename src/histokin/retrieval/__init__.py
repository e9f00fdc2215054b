"""Where the rooms meet: recipes, indexing, queries, ranking, votes and the evidence behind an answer."""
