# Debian's Prometheus with the contract of the public image: entry point, user, folders, default command.
FROM debian:trixie-slim
ARG VERSION
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates prometheus \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/share/doc/* \
    && /bin/prometheus --version 2>&1 | grep -F "version ${VERSION#v}" && /bin/promtool --version \
    && mkdir -p /prometheus /usr/share/prometheus && chown -R nobody:nogroup /prometheus /etc/prometheus
USER nobody
EXPOSE 9090
VOLUME ["/prometheus"]
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
