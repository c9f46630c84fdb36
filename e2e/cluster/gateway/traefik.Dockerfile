# Traefik from its Go module, with the contract of the public image: the program as entry point, its flags as arguments.
FROM debian:trixie-slim
ARG VERSION
COPY traefik /usr/local/bin/traefik
RUN traefik version | grep -F "${VERSION#v}"
EXPOSE 80
ENTRYPOINT ["/usr/local/bin/traefik"]
