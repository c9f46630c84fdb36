# The next release of somebody who runs podinfo: the same program, with its own flag for random errors on or off.
ARG VERSION
FROM stefanprodan/podinfo:${VERSION}
ARG RANDOM_ERROR
ENV PODINFO_RANDOM_ERROR=${RANDOM_ERROR}
