# Debian's Alertmanager with the contract of the public image: entry point, user, folders, default command.
FROM debian:trixie-slim
ARG VERSION
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates prometheus-alertmanager \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/share/doc/* \
    && ln -s /usr/bin/prometheus-alertmanager /usr/bin/alertmanager \
    && /bin/alertmanager --version 2>&1 | grep -F "version ${VERSION#v}" && /bin/amtool --version \
    && mkdir -p /alertmanager /etc/alertmanager \
    && if [ -f /etc/prometheus/alertmanager.yml ]; then cp /etc/prometheus/alertmanager.yml /etc/alertmanager/; fi \
    && chown -R nobody:nogroup /alertmanager /etc/alertmanager
USER nobody
EXPOSE 9093
VOLUME ["/alertmanager"]
WORKDIR /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]
