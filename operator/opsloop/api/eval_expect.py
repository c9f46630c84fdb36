"""The expectation of an EvalCase: what a right reply looks like."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from opsloop.api.eval_request import HEADER_NAME, HEADER_SAYS
from opsloop.api.meta import Duration, Model
from opsloop.api.schema import free_form, no_default, rules, says

SAYS_SOMETHING = (
    "has(self.status) || has(self.equals) || has(self.contains) || has(self.matches) || has(self.maxLatency)"
    " || has(self.jsonSchema) || (has(self.headers) && size(self.headers) > 0) || (has(self.json) && size(self.json) > 0)",
    "expect must say what a right reply looks like, for example status: 200, equals, contains or json",
)
FIELD_OF_WHAT = (
    "!has(self.field) || self.field == '' || has(self.equals) || has(self.contains) || has(self.matches)",
    "expect.field says where to look; say with equals, contains or matches what must be there",
)
CONTAINS_SOMETHING = ("size(self) > 0", "expect.contains must not be empty: every reply contains nothing")
FIELD_IS_NO_PATH = (
    "!self.startsWith('$')",
    "expect.field is the name of a field, for example answer; a JSONPath such as $.items[0].price goes into json",
)
MATCHES_SOMETHING = ("size(self) > 0", "matches must not be empty: it would be found in every reply")
REGEX_COMPILES = (
    "''.matches(self) in [true, false]",
    "matches must be a regular expression in RE2 syntax, for example ^order-[0-9]+$",
)
CHECKS_SOMETHING = (
    "has(self.equals) || has(self.contains) || has(self.matches) || (has(self.oneOf) && size(self.oneOf) > 0) || has(self.number) || has(self.exists)",
    "say what must be there: equals, contains, matches, oneOf, number or exists: true",
)
ABSENT_ALONE = (
    "!has(self.exists) || self.exists || !(has(self.equals) || has(self.contains) || has(self.matches) || (has(self.oneOf) && size(self.oneOf) > 0) || has(self.number))",
    "exists: false says that nothing is there; leave out equals, contains, matches, oneOf and number beside it",
)
TOLERANCE_OF_WHAT = (
    "!has(self.tolerance) || has(self.number)",
    "tolerance belongs to number, for example number: 9.99 with tolerance: 0.01",
)


class ValueCheck(Model):
    """What one value must be; all given fields must hold."""

    model_config = ConfigDict(json_schema_extra=rules(CHECKS_SOMETHING, ABSENT_ALONE, TOLERANCE_OF_WHAT))

    equals: str | None = Field(
        default=None,
        max_length=4096,
        description="Expected value without white space around it; what is no text is written as JSON: 42, true, null.",
    )
    contains: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Text that the value must contain, or an item that the list must have.",
    )
    matches: str | None = Field(
        default=None,
        max_length=256,
        description="Regular expression that must be found in the value, in RE2 syntax.",
        json_schema_extra=rules(REGEX_COMPILES, MATCHES_SOMETHING),
    )
    one_of: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=32, description="Values of which it must be one, written as in equals."
    )
    number: float | None = Field(default=None, description="Expected number.")
    tolerance: float | None = Field(
        default=None, ge=0, description="Largest accepted difference from number; 0 if absent."
    )
    exists: bool | None = Field(
        default=None, description="true: it must be there, whatever it is. false: it must not be there."
    )


class HeaderCheck(ValueCheck):
    """What a header of the reply must be."""

    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=HEADER_NAME,
        description="Name of the header; upper and lower case are alike.",
        json_schema_extra=says(HEADER_SAYS),
    )


class JsonCheck(ValueCheck):
    """What a JSONPath finds in the reply. Each value that it finds must be as the check says, and it must find one."""

    path: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^\$",
        description="JSONPath (RFC 9535), for example $.items[0].price; with at most one `..`, and no `$` within a filter.",
        json_schema_extra=says("a JSONPath begins with $, for example $.items[0].price"),
    )


class EvalExpect(Model):
    """Expected response; all given fields must match."""

    model_config = ConfigDict(json_schema_extra=rules(SAYS_SOMETHING, FIELD_OF_WHAT))

    status: int = Field(
        default=200, ge=100, le=599, description="HTTP status; defaults to 200.", json_schema_extra=no_default
    )
    field: str = Field(
        default="",
        max_length=128,
        description="Field of the JSON response that equals, contains or matches looks at; empty means the whole body.",
        json_schema_extra=rules(FIELD_IS_NO_PATH),
    )
    equals: str | None = Field(
        default=None, max_length=4096, description="Expected value; leading and trailing white space is ignored."
    )
    contains: str | None = Field(
        default=None,
        max_length=4096,
        description="Text that the value must contain.",
        json_schema_extra=rules(CONTAINS_SOMETHING),
    )
    matches: str | None = Field(
        default=None,
        max_length=256,
        description="Regular expression that must be found in the value, in RE2 syntax.",
        json_schema_extra=rules(REGEX_COMPILES, MATCHES_SOMETHING),
    )
    headers: list[HeaderCheck] = Field(default_factory=list, max_length=16, description="Headers of the response.")
    json_: list[JsonCheck] = Field(
        default_factory=list, alias="json", max_length=32, description="Values in a JSON response, found by JSONPath."
    )
    json_schema: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema (2020-12 unless $schema says otherwise) that a JSON response must fit; at most 16 KiB, with references to its own $defs only.",
        json_schema_extra=free_form,
    )
    max_latency: Duration | None = Field(
        default=None,
        description="Longest accepted time from the request to the end of the response, for example 500ms; at most request.timeoutSeconds.",
    )
