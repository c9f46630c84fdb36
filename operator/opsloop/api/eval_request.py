"""The request of an EvalCase: what is sent to a pod, and the Secrets that it carries."""

from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import Model, Text
from opsloop.api.schema import map_list, rules

TLS_HAS_NAME = (
    "(has(self.serverName) && self.serverName != '') != (has(self.insecureSkipVerify) && self.insecureSkipVerify)",
    "tls needs the name in the pods' certificate, for example serverName: answers.shop.svc; or insecureSkipVerify: true, not both",
)
HEADERS_ONCE = (
    "!has(self.headersFrom) || !has(self.headers) || self.headersFrom.all(h, !(h.name in self.headers))",
    "headersFrom names a header that headers has as well; leave one of them",
)
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class SecretKeyRef(Model):
    """Key of a Secret in the namespace of the EvalCase."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Secret in the namespace of the EvalCase.",
    )
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Key of the Secret.")


class HeaderFrom(Model):
    """Header whose value stands in a Secret."""

    name: str = Field(min_length=1, max_length=128, pattern=HEADER_NAME, description="Name of the header.")
    prefix: str = Field(
        default="", max_length=64, description='Text before the Secret\'s value, for example "Bearer ".'
    )
    secret_key_ref: SecretKeyRef = Field(description="Where the value stands; opsloop needs get on that Secret.")


class QueryParameter(Model):
    """Parameter of the query, not escaped."""

    name: str = Field(min_length=1, max_length=256, description="Name of the parameter.")
    value: Text = Field(default="", description="Value of the parameter.")


class Tls(Model):
    """TLS to the pod. Pods are called by address, so the name in their certificate has to be said."""

    model_config = ConfigDict(json_schema_extra=rules(TLS_HAS_NAME))

    server_name: str = Field(
        default="",
        max_length=253,
        pattern=r"^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?)?$",
        description="Name that the pod's certificate must be for; also sent as SNI and, unless headers has one, as Host.",
    )
    ca_bundle: str = Field(
        default="",
        max_length=32768,
        description="Certificates of the authorities that are trusted, in PEM; those of the operator's image if absent.",
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Whether any certificate is accepted. Then a Secret may be sent to whoever answers."
    )


class EvalRequest(Model):
    """HTTP request to a pod; the host cannot be chosen."""

    model_config = ConfigDict(json_schema_extra=rules(HEADERS_ONCE))

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        default="GET", description="HTTP method."
    )
    path: str = Field(
        min_length=1, max_length=2048, pattern=r"^/", description="Path of the request, or path and query."
    )
    query: list[QueryParameter] = Field(
        default_factory=list,
        max_length=32,
        description="Parameters that are escaped and added to the path's own query.",
    )
    port: int = Field(ge=1, le=65535, description="Container port of the request.")
    headers: dict[str, Text] = Field(
        default_factory=dict, max_length=32, description="Additional headers; X-Opsloop-Eval is always sent."
    )
    headers_from: list[HeaderFrom] = Field(
        default_factory=list,
        max_length=2,  # each is a right that the admission policy asks for, and it may ask for two
        description="Additional headers from Secrets. Their values are kept out of statuses, Events and logs.",
        json_schema_extra=map_list("name"),
    )
    body: str = Field(
        default="", max_length=16384, description="Body of the request; JSON unless headers has a Content-Type."
    )
    tls: Tls | None = Field(default=None, description="TLS to the pod; plain HTTP if absent.")
    timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="Timeout of the request, in seconds.")
