"""Real container clients (Docker, Podman, Buildah, Skopeo) against the real server."""
