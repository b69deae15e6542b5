"""`./bench`: Holdfast measured beside Debian's docker-registry, on one machine in one run. See docs/benchmark.md."""
