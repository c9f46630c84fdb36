"""The Prometheus-compatible APIs that the operator asks: the file of OPSLOOP_PROMETHEUS_FILE, completed by the settings."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import aiohttp
from pydantic import Field, ValidationError, field_validator

from opsloop.adapters.http_access import AccessModel, HttpAccess
from opsloop.adapters.prometheus import NoPrometheus, Prometheus
from opsloop.api.meta import Duration
from opsloop.api.slo import DEFAULT_SOURCE
from opsloop.entry.settings import LABEL, Settings, http_url, variable
from opsloop.errors import Invalid
from opsloop.shell.ports import Source

MOST_SOURCES = 32
F = TypeVar("F", bound=AccessModel)


class SourceConfig(HttpAccess):
    """One source; what is not given is as the settings say."""

    url: str = ""
    resolution: Duration | None = None
    delay: Duration | None = None

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        return http_url(url)

    @field_validator("resolution")
    @classmethod
    def _is_positive(cls, resolution: timedelta | None) -> timedelta | None:
        if resolution is not None and not resolution:
            raise ValueError("must be longer than 0s")
        return resolution


class PrometheusFile(AccessModel):
    """The whole file."""

    sources: Annotated[dict[str, SourceConfig], Field(max_length=MOST_SOURCES)] = Field(default_factory=dict)

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name, source in sources.items():
            if not LABEL.fullmatch(name) or len(name) > 63:
                raise ValueError(f"{name[:64]!r} is not a name; use at most 63 lower case letters, digits and -")
            if name != DEFAULT_SOURCE and not source.url:
                raise ValueError(f"{name}.url: missing; write for example http://mimir.monitoring/prometheus")
        return sources


def load_sources(settings: Settings) -> Mapping[str, SourceConfig]:
    """Every source by its name; `default` is always there. Raises Invalid, which names the variable, the file and the field."""
    sources = (
        read_file("prometheus_file", settings.prometheus_file, PrometheusFile).sources
        if settings.prometheus_file
        else {}
    )
    default = sources.get(DEFAULT_SOURCE, SourceConfig())
    return {
        DEFAULT_SOURCE: default.model_copy(update={"url": default.url or settings.prometheus_url}),
        **{n: s for n, s in sources.items() if n != DEFAULT_SOURCE},
    }


def connect_sources(sources: Mapping[str, SourceConfig], session: aiohttp.ClientSession) -> dict[str, Source]:
    """Each source as a port; a default one without a URL knows nothing."""
    return {name: _connect(name, one, session) for name, one in sources.items()}


def _connect(name: str, config: SourceConfig, session: aiohttp.ClientSession) -> Source:
    called = "Prometheus" if name == DEFAULT_SOURCE else f"Prometheus source {name}"
    one = Prometheus.over_http(session, config.url, config, called) if config.url else NoPrometheus()
    return Source(one, one, config.resolution, config.delay)


def read_file(setting: str, path: str, form: type[F]) -> F:
    """The JSON file that a setting names. Raises Invalid with the setting's variable, the path and the field that is wrong."""
    where = f"{variable(setting)}: {path}"
    try:
        return form.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise Invalid(f"{where}: {error.strerror or error}") from error
    except ValidationError as error:  # its own text would repeat what was written
        raise Invalid(f"{where}: {'; '.join(map(fault, error.errors(include_input=False)))}") from None


def fault(error: Any) -> str:
    """What pydantic found, with the name of the field and without what was written there."""
    field = ".".join(map(str, error["loc"]))
    said = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        said = "there is no such field"
    return f"{field}: {said}" if field else re.sub(r"^Invalid JSON", "not JSON", said)
