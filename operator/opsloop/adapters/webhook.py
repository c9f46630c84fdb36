"""Webhooks of Runbooks: one POST to an address that was checked, and to no other.

The host is resolved once, every address that it has is checked, and the connection goes to these: a name that resolves otherwise a
moment later, or a redirect, leads nowhere else. Loopback, link-local (the metadata of clouds), multicast and reserved addresses are
never called; private ones (pods and Services of the cluster) only where the administrator said `internal`.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from opsloop.core.errands.addresses import shown
from opsloop.core.facts import Address
from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.ports import Object

TIMEOUT = aiohttp.ClientTimeout(total=10)
IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
# Where clouds serve metadata outside of the link-local range: Alibaba, Azure, AWS by IPv6
METADATA = tuple(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))
PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Of nodes, pods and Services: RFC 1918, the shared space that clouds use for nodes, and their like in IPv6."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def refusal(text: str, internal: bool) -> str:
    """Why an address may not be called; empty where it may. `internal`: private addresses may."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f"{text} is no address that can be checked"
    for one in (address, *_hidden(address)):
        local = one.is_link_local or getattr(one, "is_site_local", False)
        if one.is_loopback or local or one.is_multicast or one.is_unspecified or one in METADATA:
            return f"{text} is a loopback, link-local, multicast or unspecified address, or serves metadata of a cloud"
        private = any(one.version == network.version and one in network for network in PRIVATE)
        if private and not internal:
            return f"{text} is a private address, and this webhook is not marked internal in opsloop's settings"
        if not private and (one.is_reserved or not one.is_global):
            return f"{text} is a reserved address"
    return ""


def _hidden(address: IP) -> list[IP]:
    """IPv4 addresses that an IPv6 address leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    inner: list[IP] = [
        one for one in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if one is not None
    ]
    if any(address in network for network in NAT64):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


class _Pinned(AbstractResolver):
    """Answers with what was resolved and checked before, whatever the name resolves to by now."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


class WebhookCaller:
    """Caller port. `resolver` and `refuses` are given by tests, whose server listens on loopback."""

    def __init__(self, resolver: Resolve = resolve, refuses: Callable[[str, bool], str] = refusal) -> None:
        """No session is kept: each call has a connection of its own, to addresses that were checked for it."""
        self._resolve, self._refuses = resolver, refuses

    async def call(self, address: Address, url: str, payload: Object, key: str) -> int:
        """The status of one POST. Forbidden where the host has an address that may not be called, Unavailable without an answer."""
        target = URL(url)
        addresses = await self._checked(address, target, shown(url))
        connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), use_dns_cache=False, force_close=True)
        headers = {"Idempotency-Key": key, "User-Agent": "opsloop"}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, timeout=TIMEOUT
                ) as session,
                session.post(target, json=payload, headers=headers, allow_redirects=False) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            said = str(error).replace(str(target), shown(url)).replace(url, shown(url))
            raise Unavailable(f"webhook {shown(url)}: {type(error).__name__}: {said}") from error

    async def _checked(self, address: Address, target: URL, name: str) -> Sequence[str]:
        host, port = target.host or "", target.port or 443
        try:
            async with asyncio.timeout(TIMEOUT.total):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise Unavailable(f"webhook {name}: {host} has no address: {error}") from error
        for one in addresses:
            if why := self._refuses(one, address.internal):
                raise Forbidden(f"webhook {name}: {why}")
        if not addresses:
            raise Unavailable(f"webhook {name}: {host} has no address")
        return addresses
