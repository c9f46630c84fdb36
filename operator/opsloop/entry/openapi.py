"""The intake's API as an OpenAPI document: served at /openapi.json, and `docs/openapi.yaml` (by `make generate`).

The limits in it are those that the code holds; a test compares its paths with the routes, and Schemathesis tries them.
"""

from typing import Any

from opsloop.core import intake
from opsloop.core.tickets import arriving, dates, house

_NAMESPACE = {
    "name": "namespace",
    "in": "path",
    "required": True,
    "description": "Namespace of the service.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
}
_TEXT: dict[str, Any] = {"type": "string"}
_TIME = {"type": "string", "description": "RFC 3339, for example 2026-01-05T09:00:00Z."}
_FORMS = dates.FORMS[:1].upper() + dates.FORMS[1:]
_ALERT: dict[str, Any] = {
    "type": "object",
    "required": ["labels", "startsAt"],
    "properties": {
        "status": {
            "enum": ["firing", "resolved"],
            "description": "Without it the alert is resolved where endsAt has passed.",
        },
        "labels": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _TEXT,
            "description": f"At most {intake.MAX_LABELS}, of at most {intake.MAX_LABEL_VALUE} characters each, are kept.",
        },
        "annotations": {
            "type": "object",
            "description": f"Texts of at most {intake.MAX_ANNOTATION} characters are kept.",
        },
        "startsAt": _TIME,
        "endsAt": _TIME,
        "fingerprint": {"type": "string", "description": "Identity of the alert; by default a hash of its labels."},
    },
}
_ALERTS = {"type": "array", "items": {"$ref": "#/components/schemas/Alert"}, "maxItems": intake.MAX_ALERTS}
_WEBHOOK = {
    "type": "object",
    "required": ["version", "alerts"],
    "properties": {
        "version": {"enum": list(intake.VERSIONS), "description": "4 is Alertmanager's and Mimir's, 1 is Grafana's."},
        "alerts": _ALERTS,
        "truncatedAlerts": {"type": "integer", "description": "Alerts that the sender left out; they are counted."},
    },
}
_TICKET = {
    "type": "object",
    "anyOf": [{"required": ["subject"]}, {"required": ["body"]}],
    "properties": {
        "id": {
            "oneOf": [{"type": "string", "pattern": r"^[^\s/]{1,128}$"}, {"type": "integer"}],
            "description": "A repeated id is the same ticket.",
        },
        "subject": {"type": "string", "description": f"The first {arriving.MAX_SUBJECT} characters are kept."},
        "body": {"type": "string", "description": f"Text or HTML; the first {arriving.MAX_TEXT} characters are kept."},
        "channel": {"type": "string", "description": f"The first {arriving.MAX_NAME} characters are kept."},
        "reporter": {"type": "string", "description": f"The first {arriving.MAX_NAME} characters are kept."},
        "createdAt": {"anyOf": [{"type": "string"}, {"type": "number"}], "description": f"{_FORMS}."},
        "example": {
            "type": "object",
            "required": ["asked", "expected"],
            "properties": {name: {"type": "string", "maxLength": 1024} for name in ("asked", "got", "expected")},
        },
    },
}
_CORRECTION = {
    "type": "object",
    "required": ["ticket"],
    "additionalProperties": False,
    "description": "link or unlink, route, category, severity: at least one of them.",
    "properties": {
        "ticket": {"type": "string", "pattern": r"^[^\s/]{1,128}$", "description": "Id of the ticket."},
        "link": {"type": "string", "maxLength": 253, "description": "Incident of the namespace that it belongs to."},
        "unlink": {"type": "boolean", "description": "It belongs to no Incident; opsloop links it no more."},
        "route": {
            "type": "string",
            "maxLength": house.MAX_ROUTE,
            "description": "Who takes it: a route of a category, or a team.",
        },
        "category": {"type": "string", "description": "One of opsloop's, or of the configuration."},
        "severity": {"enum": ["sev1", "sev2", "sev3", "sev4"]},
    },
}
_DESK = {
    "name": "desk",
    "in": "path",
    "required": True,
    "description": "Whose payload it is: github, jira, mail, zendesk, or one of the configuration.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"},
}
_REMARKS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "reason"],
        "properties": {"index": {"type": "integer"}, "reason": _TEXT},
    },
}
_STORED = {
    "type": "object",
    "required": ["stored"],
    "properties": {
        "stored": {"type": "integer", "description": "Number of alerts or tickets that the API server holds."},
        "id": {"type": "string", "description": "Identifier of the ticket, or of the correction."},
        "setAside": {**_REMARKS, "description": "Alerts that break a rule and were not stored."},
        "setAsideInAll": {"type": "integer", "description": "Their number, where not all are listed."},
        "cut": {**_REMARKS, "description": "Alerts of which something was left out, or the ticket."},
        "cutInAll": {"type": "integer", "description": "Their number, where not all are listed."},
        "ignored": {"type": "array", "items": _TEXT, "description": "Fields of the ticket that mean nothing here."},
        "passedOver": {"type": "string", "description": "Why this payload of a desk is no new ticket."},
        "truncated": {"type": "integer", "description": "Alerts that the sender says it left out."},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": _TEXT, "routes": {"type": "array", "items": _TEXT}},
}
_REFUSALS = {
    "400": "Malformed; the message names the field or header, and a right value.",
    "401": "No token that is valid for the audience.",
    "403": "No permission to create this resource of opsloop.dev in the namespace.",
    "404": "No such path, or desk; the answer lists those that there are.",
    "405": "Another method.",
    "408": "The body did not arrive in time.",
    "413": f"More than {intake.MAX_BODY} bytes, also after decompression. One ticket has at most {arriving.MAX_TICKET}, else it is a 400.",
    "503": "Not now; Retry-After says when.",
}


def routes() -> list[str]:
    """Method and path of all that there is."""
    return [f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item]


def document() -> dict[str, Any]:
    """The document, version 3.0."""
    base = "/v1/namespaces/{namespace}"
    listed = "Alerts as Prometheus and vmalert send them to an Alertmanager (a bare list)"
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "opsloop intake",
            "version": "v1",
            "description": "Alerts and tickets for opsloop, and corrections of these. A success means that the API server holds them; sending them"
            " again changes nothing.",
        },
        "paths": {
            f"{base}/alerts": {"post": _post("sendAlerts", "Alerts of a webhook", _either(), "202")},
            f"{base}/api/v2/alerts": {"post": _post("sendAlertList", listed, _either(), "200")},
            f"{base}/tickets": {
                "post": _post("sendTicket", "A user's ticket", {"$ref": "#/components/schemas/Ticket"}, "202")
            },
            f"{base}/tickets/{{desk}}": {
                "post": _post("sendPayload", "A ticket as a ticket system sends it, or a mail", {"type": "object"}, "202", _DESK)
            },
            f"{base}/corrections": {
                "post": _post("correctTicket", "A correction of a ticket, by the token's owner", {"$ref": "#/components/schemas/Correction"}, "202")
            },
            "/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This document",
                    "security": [],
                    "responses": {
                        "200": {"description": "OpenAPI.", "content": {"application/json": {"schema": {"type": "object"}}}}
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "Alert": _ALERT, "Webhook": _WEBHOOK, "Alerts": _ALERTS, "Ticket": _TICKET, "Correction": _CORRECTION, "Stored": _STORED, "Error": _ERROR,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A Kubernetes token."}},
        },
        "security": [{"token": []}],
    }  # fmt: skip


def _either() -> dict[str, Any]:
    return {"oneOf": [{"$ref": "#/components/schemas/Webhook"}, {"$ref": "#/components/schemas/Alerts"}]}


def _post(identifier: str, summary: str, body: dict[str, Any], success: str, *more: dict[str, Any]) -> dict[str, Any]:
    answers = {code: _answer(text, "Error") for code, text in _REFUSALS.items()}
    return {
        "operationId": identifier,
        "summary": summary,
        "parameters": [
            _NAMESPACE,
            *more,
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "description": "Coding of the body.",
                "schema": {"enum": ["identity", "gzip", "deflate"]},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body},
                **({"message/rfc822": {"schema": _TEXT}} if more else {}),
            },
        },
        "responses": {success: _answer("Stored.", "Stored"), **answers},
    }


def _answer(text: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}
