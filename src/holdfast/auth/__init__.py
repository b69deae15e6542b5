"""Who is asking: credentials to actors, and what an actor may do."""
