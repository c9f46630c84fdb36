"""Cause of an Incident, and the evidence for and against it."""

from typing import Literal

from pydantic import Field

from opsloop.api.meta import Model, Time


class Evidence(Model):
    """Measured value or fact, with its source."""

    name: str = Field(max_length=64, description="Name of the value.")
    value: str = Field(max_length=512, description="Measured value or fact.")
    source: str = Field(default="", max_length=512, description="Query, object or address that the value comes from.")


class Cause(Model):
    """Most likely cause of an Incident."""

    kind: Literal["bad_release", "dependency", "config", "scaling", "unknown"] = Field(
        description="Kind of the cause. config: a ConfigMap or Secret that pods use was written. scaling: the number of"
        " pods was changed. unknown: the evidence supports no other kind."
    )
    release: str = Field(
        default="", max_length=253, description="Release whose revision, configuration, scaling or breach is the cause."
    )
    revision: str = Field(default="", max_length=64, description="Digest of the revision that is the cause.")
    version: str = Field(default="", max_length=128, description="Version label of that revision.")
    object: str = Field(
        default="",
        max_length=320,
        description="Changed object that is the cause, for kinds config and scaling, for example ConfigMap settings.",
    )
    changed_at: Time | None = Field(default=None, description="Time of that change.")
    manager: str = Field(default="", max_length=128, description="Field manager that made that change, if known.")
    reason: str = Field(default="", max_length=64, description="Named reason for the conclusion.")
    confidence: float = Field(default=0.0, ge=0, le=1, description="Confidence in the conclusion, from 0 to 1.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=20, description="Evidence for the conclusion.")
