"""The request of an EvalCase: what is sent to a pod, and the Secrets that it carries."""

from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import Model, Text
from opsloop.api.schema import map_list, matches, rules, says

TLS_HAS_NAME = (
    "(has(self.serverName) && self.serverName != '') != (has(self.insecureSkipVerify) && self.insecureSkipVerify)",
    "tls needs the name in the pods' certificate, for example serverName: answers.shop.svc; or insecureSkipVerify: true, not both",
)
HEADERS_ONCE = (
    "!has(self.headersFrom) || !has(self.headers) || self.headersFrom.all(h, !(h.name in self.headers))",
    "headersFrom names a header that headers has as well; leave one of them",
)
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
HEADER_SAYS = "a header's name is one word, for example Content-Type, without colon, blanks or value"
HEADERS_NAMED = (f"self.all(name, {matches(HEADER_NAME, 'name')})", f"headers: {HEADER_SAYS}")
PATH_SAYS = "write a path that begins with /, for example /ask?q=refund, not a URL: the host is the pod, the port stands in port"
BODY_IS_SENT = (
    "!has(self.body) || self.body == '' || !(self.method in ['GET', 'HEAD'])",
    "request.body needs a method that has one, for example method: POST; GET is the default and has none",
)
A_CERTIFICATE = (
    "self == '' || (self.contains('-----BEGIN CERTIFICATE-----') && !self.contains('PRIVATE KEY'))",
    "tls.caBundle holds certificates in PEM, from -----BEGIN CERTIFICATE----- on, not in base64 once more and without private keys",
)


class SecretKeyRef(Model):
    """Key of a Secret in the namespace of the EvalCase."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Secret in the namespace of the EvalCase.",
        json_schema_extra=says("write the name of a Secret in the EvalCase's namespace, without the namespace"),
    )
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Key of the Secret.")


class HeaderFrom(Model):
    """Header whose value stands in a Secret."""

    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=HEADER_NAME,
        description="Name of the header.",
        json_schema_extra=says(HEADER_SAYS),
    )
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
        json_schema_extra=says("write a host name alone, for example answers.shop.svc, without https:// and port"),
    )
    ca_bundle: str = Field(
        default="",
        max_length=32768,
        description="Certificates of the authorities that are trusted, in PEM; those of the operator's image if absent.",
        json_schema_extra=rules(A_CERTIFICATE),
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Whether any certificate is accepted. Then a Secret may be sent to whoever answers."
    )


class EvalRequest(Model):
    """HTTP request to a pod; the host cannot be chosen."""

    model_config = ConfigDict(json_schema_extra=rules(HEADERS_ONCE, BODY_IS_SENT))

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        default="GET", description="HTTP method."
    )
    path: str = Field(
        min_length=1,
        max_length=2048,
        pattern=r"^/",
        description="Path of the request, or path and query.",
        json_schema_extra=says(PATH_SAYS),
    )
    query: list[QueryParameter] = Field(
        default_factory=list,
        max_length=32,
        description="Parameters that are escaped and added to the path's own query.",
    )
    port: int = Field(ge=1, le=65535, description="Container port of the request.")
    headers: dict[str, Text] = Field(
        default_factory=dict,
        max_length=32,
        description="Additional headers; X-Opsloop-Eval is always sent.",
        json_schema_extra=rules(HEADERS_NAMED),
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
