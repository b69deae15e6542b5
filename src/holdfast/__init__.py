"""Holdfast: a private container registry, the server behind `docker push` and `docker pull`."""

__version__ = "0.1.0"
