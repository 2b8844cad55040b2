# The relay as a container: `relay poll` by default, as a user without privileges, on a root file
# system that may be read-only. docs/container.md says how to run it.
#
#   docker build --tag relay .
#   docker build --tag relay --build-arg EXTRAS="otlp temporal" .

# The tag says which version it is, the digest which image. To renew the digest:
#   docker buildx imagetools inspect python:3.13-slim
ARG PYTHON_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# First what changes rarely. Each file of each package must have one of the hashes listed.
COPY requirements.txt requirements-build.txt ./
COPY cdk/relay_cdk/extras cdk/relay_cdk/extras
RUN python -m venv /build && /build/bin/pip install --require-hashes --requirement requirements-build.txt
# bullmq, otlp and temporal, separated by spaces.
ARG EXTRAS=""
RUN python -m venv --without-pip /opt/relay && \
    set -- && \
    for extra in ${EXTRAS}; do set -- "$@" --requirement "cdk/relay_cdk/extras/${extra}.txt"; done && \
    pip --python /opt/relay/bin/python install --require-hashes --only-binary :all: --requirement requirements.txt "$@"

COPY . .
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . && \
    pip --python /opt/relay/bin/python install --no-deps --no-index /wheel/*.whl && \
    pip --python /opt/relay/bin/python check

FROM ${PYTHON_IMAGE} AS relay
LABEL org.opencontainers.image.title="Relay" \
      org.opencontainers.image.description="A durable SQS buffer and dead-letter relay in front of an event orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed in a running container.
RUN pip uninstall --yes --root-user-action=ignore pip && \
    rm -rf /usr/local/lib/python3*/ensurepip && \
    echo "relay:x:10001:10001::/nonexistent:/usr/sbin/nologin" >> /etc/passwd && \
    echo "relay:x:10001:" >> /etc/group
COPY --from=build /opt/relay /opt/relay

# The health check and a kubelet's probes need a port; PYTHONDONTWRITEBYTECODE because the bytecode
# is in the image, and the root file system may be read-only.
ENV PATH="/opt/relay/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_HOST=0.0.0.0 \
    PORT=8000
EXPOSE 8000
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["relay", "health"]
# No shell in between: signals reach the relay itself.
ENTRYPOINT ["relay"]
CMD ["poll"]
