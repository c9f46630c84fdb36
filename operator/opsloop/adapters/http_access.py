"""How an HTTP server is asked: TLS, credentials and headers, with the terms of Prometheus' own http_config.

Credentials are files, for example of mounted Secrets: a file that changed is read again before the next request, so that
a rotation needs no restart. No error and no log holds what is in them.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from opsloop.errors import Unavailable

HIDDEN = b"***"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110
_VALUE = re.compile(r"[\x20-\x7e]+")
_OURS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection"})


class AccessModel(BaseModel):
    """Base of what is configured: a field that does not exist is an error."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class BasicAuth(AccessModel):
    """User name, as a text or in a file, and the file of its password."""

    username: str = ""
    username_file: str = ""
    password_file: str = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> "BasicAuth":
        if bool(self.username) == bool(self.username_file):
            raise ValueError("give exactly one of username and usernameFile")
        if ":" in self.username:
            raise ValueError("username: a colon cannot be part of it")
        return self


class Tls(AccessModel):
    """Whom to trust, and the client's own certificate; without `ca_file` the CAs of the system are trusted."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "Tls":
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("certFile and keyFile belong together; give both or none")
        return self


class HttpAccess(AccessModel):
    """What requests to one server carry."""

    bearer_token_file: str = ""
    basic_auth: BasicAuth | None = None
    tls: Tls = Tls()
    headers: dict[str, str] = Field(default_factory=dict)

    @field_validator("headers")
    @classmethod
    def _no_credentials(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"{name[:64]!r} cannot be set; write for example X-Scope-OrgID")
            if name.lower() == "authorization":
                raise ValueError("Authorization is a credential; write bearerTokenFile or basicAuth")
            if not _VALUE.fullmatch(value):
                raise ValueError(f"the value of {name} must be a text of printable ASCII")
        return headers

    @model_validator(mode="after")
    def _authorized_once(self) -> "HttpAccess":
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("give one of bearerTokenFile and basicAuth")
        return self

    @property
    def files(self) -> dict[str, str]:
        """Field → path of each file that is read."""
        basic, tls = self.basic_auth, self.tls
        every = {
            "bearerTokenFile": self.bearer_token_file,
            "basicAuth.usernameFile": basic.username_file if basic else "",
            "basicAuth.passwordFile": basic.password_file if basic else "",
            "tls.caFile": tls.ca_file,
            "tls.certFile": tls.cert_file,
            "tls.keyFile": tls.key_file,
        }
        return {field: path for field, path in every.items() if path}


@dataclass(frozen=True, slots=True)
class Presented:
    """What one request carries: arguments of aiohttp's `request`, and what its log must not hold."""

    headers: Mapping[str, str]
    ssl: ssl.SSLContext | bool
    secrets: tuple[bytes, ...]

    def hide(self, text: bytes) -> bytes:
        """The text without credentials: a server may repeat them in its refusal."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


class Credentials:
    """Reads the files of one `HttpAccess`, again after each change of one."""

    def __init__(self, access: HttpAccess) -> None:
        self._access = access
        self._read: tuple[Mapping[str, tuple[int, int, int]], Presented] | None = None

    def present(self) -> Presented:
        """What the next request carries. Raises Unavailable that names field and file: the next call tries again."""
        stamps = {field: _stamp(field, path) for field, path in self._access.files.items()}
        if self._read is None or self._read[0] != stamps:
            self._read = stamps, self._load()
        return self._read[1]

    def _load(self) -> Presented:
        access, headers, secrets = self._access, dict(self._access.headers), []
        if access.bearer_token_file:
            token = secret("bearerTokenFile", access.bearer_token_file)
            headers["Authorization"] = f"Bearer {token}"
            secrets.append(token)
        if basic := access.basic_auth:
            user = basic.username or secret("basicAuth.usernameFile", basic.username_file)
            password = secret("basicAuth.passwordFile", basic.password_file)
            try:
                headers["Authorization"] = aiohttp.encode_basic_auth(user, password, "utf-8")
            except ValueError as error:
                raise Unavailable(
                    f"basicAuth.usernameFile: {basic.username_file}: a colon cannot be part of it"
                ) from error
            secrets += [headers["Authorization"].removeprefix("Basic "), password]
        return Presented(headers, _context(access.tls), tuple(secret.encode() for secret in secrets))


def _stamp(field: str, path: str) -> tuple[int, int, int]:
    """What changes with a file; the kubelet swaps a link, so that a rotated Secret is another inode."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise Unavailable(f"{field}: {path}: {error.strerror}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def secret(field: str, path: str) -> str:
    """The one line in a file. Raises Unavailable that names field and file."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unavailable(f"{field}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unavailable(f"{field}: {path}: not a text in UTF-8") from error
    if not text or not text.isprintable():
        raise Unavailable(f"{field}: {path}: {'more than one line' if text else 'empty'}")
    return text


def _context(tls: Tls) -> ssl.SSLContext | bool:
    """True where aiohttp's own context will do."""
    if not (tls.ca_file or tls.cert_file or tls.insecure_skip_verify):
        return True
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise Unavailable(f"tls.caFile: {tls.ca_file}: {_said(error)}") from error
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        except (OSError, ValueError) as error:  # also while a rotation has replaced only one of the two
            files = f"tls.certFile and tls.keyFile: {tls.cert_file}, {tls.key_file}"
            raise Unavailable(f"{files}: {_said(error)}") from error
    return context


def _said(error: Exception) -> str:
    """ssl says by a code what does not fit; an empty file gives no code."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error or "not PEM").replace("_", " ").lower()
