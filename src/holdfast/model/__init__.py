"""Pure protocol knowledge: digests, names, media types, manifests, ranges, pages, errors. Standard library only."""
