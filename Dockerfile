# The operator. The build context holds this file, wheels/ (every locked wheel, its hash checked when it was fetched)
# and own/ (the project's); `make images` prepares it. Nothing is downloaded by pip in here.
FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv
COPY wheels /wheels
# Of kubernetes the client, its configuration and its errors are used; its 124 MB of classes for each kind and each API group are
# not (opsloop sends and reads plain JSON). Each module is loaded when it is asked for, so that the start below would miss one.
RUN python3 -m venv /opt/opsloop \
 && /opt/opsloop/bin/pip install --quiet --no-index --no-deps --no-compile /wheels/*.whl \
 && find /opt/opsloop/lib -path '*/kubernetes/*client/models/*.py' ! -name __init__.py -delete \
 && find /opt/opsloop/lib -path '*/kubernetes/*client/api/*.py' ! -name __init__.py -delete \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/opsloop/lib
COPY own /own
RUN /opt/opsloop/bin/pip install --quiet --no-index --no-deps --no-compile /own/*.whl \
 && /opt/opsloop/bin/pip check \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/opsloop/lib/python3.13/site-packages/opsloop \
 && /opt/opsloop/bin/python -c "import opsloop.entry.main, opsloop.entry.cli.commands" \
 && /opt/opsloop/bin/pip uninstall --quiet --yes pip

FROM debian:trixie-slim
# ca-certificates: a pager or a Prometheus with a certificate of a public authority. That Python finds them is seen here.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && python3 -c "import ssl; assert len(ssl.create_default_context().get_ca_certs()) > 50"
COPY --from=build /opt/opsloop /opt/opsloop
# The root file system is read-only in the pod: bytecode was compiled above. Two arenas keep the heap small.
# USER: kopf asks who it runs as, and a number without an entry in passwd has no name.
ENV PATH=/opt/opsloop/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONNOUSERSITE=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp \
    USER=opsloop
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 8081
ENTRYPOINT ["opsloop"]
CMD ["operator"]
