"""One connection to a port of a pod, through the API server: what `kubectl port-forward` does, for one request.

The pod gets the bytes as they are, so also the header Authorization, which the pods' proxy keeps for itself, and TLS ends at the pod.
The protocol is `v4.channel.k8s.io`: each message is a channel's number and bytes of it; 0 is data, 1 an error in words. Each
channel begins with the port, in two bytes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.stream import WsApiClient

from opsloop.errors import Forbidden, Unavailable

DATA, ERROR, OPENING = 0, 1, 2  # numbers of the channels, and bytes that each begins with
CHUNK = 32 * 1024


class Forwarder:
    """Opens connections with the caller's own credentials, which need get and create on pods/portforward."""

    def __init__(self, configuration: Configuration, timeout: float = 10.0) -> None:
        """`timeout`: seconds until the API server has to have taken the connection."""
        self._configuration = configuration
        self._timeout = timeout

    @contextlib.asynccontextmanager
    async def open(self, namespace: str, pod: str, port: int) -> AsyncIterator[int]:
        """A port of 127.0.0.1 that takes one connection, to this port of the pod. Forbidden or Unavailable where there is none."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        async with WsApiClient(self._configuration) as client, await self._connected(client, path, port) as socket:
            pumping: list[asyncio.Task[None]] = []

            def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                server.close()  # one connection: nobody else on this machine gets to the pod
                pumping.append(asyncio.create_task(_pump(socket, reader, writer)))

            server = await asyncio.start_server(taken, "127.0.0.1", 0)
            try:
                yield int(server.sockets[0].getsockname()[1])
            finally:
                server.close()
                for task in pumping:
                    task.cancel()
                await asyncio.gather(*pumping, return_exceptions=True)

    async def _connected(self, client: WsApiClient, path: str, port: int) -> aiohttp.ClientWebSocketResponse:
        headers: dict[str, str] = {}
        await client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        url = f"{self._configuration.host}{path}?{urlencode({'ports': port})}"
        try:
            async with asyncio.timeout(self._timeout):
                connecting = await client.request("GET", url, headers=headers, _preload_content=False)
                socket: aiohttp.ClientWebSocketResponse = await connecting
                return socket
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                text = f"port-forward {path}: {error.status}: it needs get and create on pods/portforward"
                raise Forbidden(text) from error
            raise Unavailable(f"port-forward {path}: {error.status} {error.message}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, ApiException) as error:
            raise Unavailable(f"port-forward {path}: {type(error).__name__}: {error}") from error


async def _pump(
    socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Bytes both ways until the pod's side ends, or says that there is nobody at this port."""
    sending = asyncio.create_task(_send(socket, reader))
    opening = {DATA: OPENING, ERROR: OPENING}
    try:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            skipped = min(opening.get(channel, 0), len(data))
            opening[channel] = opening.get(channel, 0) - skipped
            if data[skipped:] and channel == ERROR:
                break
            if data[skipped:]:
                writer.write(data[skipped:])
                await writer.drain()
    except (aiohttp.ClientError, OSError):
        pass  # whoever asks sees the connection end
    finally:
        sending.cancel()
        writer.close()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await socket.send_bytes(bytes([DATA]) + data)
