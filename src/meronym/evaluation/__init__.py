"""The protocols: a collection and a model make a row of a table."""
