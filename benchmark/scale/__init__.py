"""`./bench scale`: Holdfast on PostgreSQL and an S3 store, beside docker-registry on the same store. See docs/benchmark.md."""
