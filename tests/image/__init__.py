"""The image, run by the real Docker Engine as the documents that people follow run registry:2."""
