"""A Gateway (Traefik) and a client that asks through it: what the story of weights on an HTTPRoute stands on."""
