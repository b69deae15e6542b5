"""Names: the database port, its contract suite and its implementations. All SQL lives here."""
