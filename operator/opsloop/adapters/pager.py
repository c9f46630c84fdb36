"""Pager port over HTTP: each receiver in its own format. A receiver drops repeats by the alert's key, or by the Idempotency-Key header.

Addresses and credentials are the administrator's; of what a receiver answers, and of each error, no credential is left.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
from pydantic import Field, field_validator, model_validator

from opsloop.adapters.http_access import Credentials, HttpAccess, Presented, secret
from opsloop.api.meta import Duration, Severity
from opsloop.core.notify.formats import FORMATS, NOTHING, Call, Name, Style, calls
from opsloop.core.notify.render import sent
from opsloop.core.notify.words import House
from opsloop.errors import Permanent, Unavailable
from opsloop.shell.ports import Object

TOGETHER = 8  # requests to one receiver at a time
MOST_ANSWER = 4096  # bytes that are read of an answer
SHOWN = 200  # characters of it that are kept
SECRET_PART = 8  # characters
SECRET_URLS = ("slack", "teams", "oncall")  # whoever has the URL may post


class ReceiverConfig(HttpAccess):
    """One receiver. Credentials are files: of mounted Secrets in the chart."""

    format: Name
    url: str = Field(default="", max_length=1024)
    url_file: str = ""  # instead of url
    key_file: str = ""  # routing key of PagerDuty, API key of Opsgenie; `key` of a template
    severities: dict[Severity, str] = Field(default_factory=dict)  # what the receiver calls ours
    labels: dict[str, str] = Field(default_factory=dict)  # of Alertmanager's alerts
    template: str = ""  # of the format template
    timeout: Duration = timedelta(seconds=10)

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        return plain_url(url)

    @field_validator("timeout")
    @classmethod
    def _is_short(cls, timeout: timedelta) -> timedelta:
        if not timedelta(0) < timeout <= timedelta(minutes=1):
            raise ValueError("must be longer than 0s and at most 1m")
        return timeout

    @model_validator(mode="after")
    def _fits_its_format(self) -> "ReceiverConfig":
        kind = FORMATS[self.format]
        if self.format in SECRET_URLS and self.url:
            raise ValueError(f"url: that of {self.format} is a credential; write urlFile (urlSecret in the chart)")
        if bool(self.url) + bool(self.url_file) != 1 and not (kind.url and not self.url and not self.url_file):
            raise ValueError("give exactly one of url and urlFile")
        if kind.key and not self.key_file:
            raise ValueError(f"keyFile: missing, the {kind.key} of {self.format} (keySecret in the chart)")
        if self.key_file and not kind.key and self.format != "template":
            raise ValueError(f"keyFile: {self.format} has no key; write bearerTokenFile or basicAuth")
        if bool(self.template) != (self.format == "template"):
            raise ValueError("template: goes with the format template, and with no other one")
        if kind.words and (other := sorted(set(self.severities.values()) - set(kind.words))):
            raise ValueError(f"severities: {self.format} has no {other[0][:32]!r}; it has {', '.join(kind.words)}")
        if self.labels and self.format != "alertmanager":
            raise ValueError("labels: only alerts for Alertmanager have labels")
        return self

    @property
    def files(self) -> dict[str, str]:
        """Field → path of each file that is read."""
        own = {"urlFile": self.url_file, "keyFile": self.key_file}
        return {**HttpAccess.files.fget(self), **{name: path for name, path in own.items() if path}}  # type: ignore[attr-defined]


def plain_url(url: str) -> str:
    """An address for POSTs, without the slash at its end. Raises ValueError, which repeats no password."""
    if "@" in url.rpartition("://")[2].partition("/")[0]:
        raise ValueError("holds a user name or a password, which logs would show; write basicAuth")
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://, for example https://alertmanager.monitoring:9093")
    return url.rstrip("/")


def _secret_parts(url: str) -> list[str]:
    """What of a secret URL may be repeated: it, its path with the query, and each part that is long enough to be a secret."""
    _, _, behind = url.partition("://")
    path = behind[len(behind.partition("/")[0]) :]
    parts = [part for part in re.split(r"[/?&=#]", path) if len(part) >= SECRET_PART]
    return [url, *([path] if len(path) > 1 else []), *sorted(parts, key=len, reverse=True)]


class HttpReceiver:
    """One receiver. Files are read again when they change."""

    def __init__(self, session: aiohttp.ClientSession, name: str, config: ReceiverConfig, house: House) -> None:
        self._session, self.name, self.config, self._house = session, name, config, house
        self._credentials = Credentials(config)
        self._together = asyncio.Semaphore(TOGETHER)

    async def tell(self, payload: Object) -> str:
        """Status and beginning of the last answer. Unavailable: 408, 429, 5xx, no answer or a file that cannot be read;
        Permanent: any other answer, or a message that cannot be made."""
        try:
            presented = await asyncio.to_thread(self._credentials.present)
            url = self._file("urlFile", self.config.url_file) or self.config.url or FORMATS[self.config.format].url
            key = self._file("keyFile", self.config.key_file)
        except Unavailable as error:
            raise Unavailable(f"{self.name} is not called: {error}") from error
        of_url = _secret_parts(url) if self.config.url_file else ()
        hidden = (*presented.secrets, *(text.encode() for text in (key, *of_url) if text))
        presented = Presented(self._headers(presented, key, payload), presented.ssl, hidden)
        style = Style(self.name, key, self.config.template, self.config.labels)
        said = NOTHING
        for call in calls(self.config.format, payload, self._house, style, self.config.severities):
            async with self._together:
                said = await self._call(url, call, presented)
        return said

    def _headers(self, presented: Presented, key: str, payload: Object) -> Mapping[str, str]:
        headers = {**presented.headers, "Content-Type": "application/json"}
        if self.config.format == "opsgenie":
            headers["Authorization"] = f"GenieKey {key}"
        if own := payload.get("message_id"):
            headers["Idempotency-Key"] = str(own)
        return headers

    @staticmethod
    def _file(field: str, path: str) -> str:
        return secret(field, path) if path else ""

    async def _call(self, url: str, call: Call, presented: Presented) -> str:
        try:
            async with self._session.request(
                call.method,
                url.rstrip("/") + call.path,
                data=sent(call.body),
                headers=presented.headers,
                ssl=presented.ssl,
                server_hostname=self.config.tls.server_name or None,
                timeout=aiohttp.ClientTimeout(total=self.config.timeout.total_seconds()),
                allow_redirects=False,
            ) as answer:
                status, raw = answer.status, await answer.content.read(MOST_ANSWER)
                after = answer.headers.get("Retry-After", "")
        except aiohttp.InvalidURL as error:
            raise Permanent(f"{self.name}: its address is not a URL") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = presented.hide(f"{type(error).__name__}: {error}".encode()).decode(errors="replace")
            raise Unavailable(f"{self.name}: {said[:SHOWN]}") from error
        text = " ".join(presented.hide(raw).decode(errors="replace").split())[:SHOWN]
        if 200 <= status < 300:
            return f"{status} {text}".strip()
        if status in (408, 429) or status >= 500:
            raise Unavailable(f"{self.name}: {status} {text}", after=float(after) if after.isdigit() else None)
        raise Permanent(f"{self.name}: {status} {text}")


class Receivers:
    """Pager port over all receivers, by their names."""

    def __init__(self, receivers: Mapping[str, HttpReceiver]) -> None:
        self._receivers = receivers

    async def page(self, receiver: str, payload: Object) -> str:
        """As the port says; Permanent where the configuration has no such receiver (any more)."""
        if not self._receivers:
            raise Permanent("no receiver is configured (OPSLOOP_NOTIFICATIONS_FILE, OPSLOOP_PAGER_URL)")
        if receiver not in self._receivers:
            raise Permanent(f"{receiver}: no such receiver is configured")
        return await self._receivers[receiver].tell(payload)
