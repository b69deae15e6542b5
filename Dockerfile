# The image of Holdfast, in place of registry:2. See docs/docker.md.
#
#   docker build -t holdfast .
#
# BASE is any image with Python 3.11 or newer with venv, and glibc. Without network, put wheels for its Python into a folder
# of the checkout and name it: --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=wheels
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_INDEX_URL
ENV PIP_CONSTRAINT=/build/constraints.txt \
    PIP_BUILD_CONSTRAINT=/build/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY . .
RUN ["python3", "-m", "venv", "/opt/holdfast"]
RUN ["/opt/holdfast/bin/python3", "-m", "pip", "install", "--quiet", ".[postgres,s3,uvicorn]"]
RUN ["/opt/holdfast/bin/python3", "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools"]
RUN ["/opt/holdfast/bin/python3", "image/assemble.py", "/image"]

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="A private container registry: the server behind docker push and docker pull" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/ /
# For every command that is given no configuration file.
ENV REGISTRY_CONFIGURATION_PATH=/etc/docker/registry/config.yml
EXPOSE 5000
VOLUME ["/var/lib/registry"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["registry", "health"]
ENTRYPOINT ["/entrypoint.sh"]
CMD ["/etc/docker/registry/config.yml"]
