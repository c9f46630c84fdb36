# kube-proxy in nftables mode calls nft and conntrack; kubeadm starts /usr/local/bin/kube-proxy.
FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends conntrack iptables kmod nftables \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY kube-proxy /usr/local/bin/kube-proxy
ENTRYPOINT ["/usr/local/bin/kube-proxy"]
