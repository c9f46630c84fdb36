"""Good objects of the four kinds, and how a test makes another one of them."""

import copy
from typing import Any

Object = dict[str, Any]

LATENCY: dict[str, Any] = {
    "name": "latency",
    "objective": 0.95,
    "sli": {"latency": {"histogram": "took_seconds", "threshold": 0.3}},
}
LOOSE = {**LATENCY, "objective": 0.9}

GOOD = {
    "Release": {
        "workloadRef": {"name": "answers"},
        "version": "v1",
        "images": {"answers": "opsloop/helpdesk:v1"},
        "strategy": {"canary": {"steps": [{"weight": 20, "hold": "30s"}, {"weight": 50}, {"weight": 100}]}},
        "slo": {
            "objective": 0.99,
            "sli": {"bad": 'sum(increase(a{v="bad"}[{{window}}]))', "total": "sum(increase(a[{{window}}]))"},
            "tiers": [
                {"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"},
                {"long": "3d", "short": "90m", "factor": 1, "severity": "sev3"},
            ],
        },
        "evals": {"port": 8080, "ask": {"path": "/ask?q={{asked}}"}},
        "dependsOn": ["catalog"],
    },
    "Incident": {
        "release": "answers",
        "service": "answers",
        "title": "answers burns its budget 20 times",
        "signal": {
            "kind": "burn",
            "at": "2026-11-23T14:00:00.250Z",
            "severity": "sev1",
            "burn": {
                "long": "1m", "short": "5s", "factor": 14.4, "burnLong": 20.0, "burnShort": 20, "errorRatio": 0.2,
                "bad": 50, "total": 250, "objective": 0.99,
            },
        },
    },
    "Runbook": {
        "steps": [{"type": "rollback", "timeout": "2m"}, {"type": "escalate"}],
        "serviceAccountName": "on-call-robot",
    },
    "EvalCase": {
        "release": "answers",
        "request": {"path": "/ask?q=refund", "port": 8080},
        "expect": {"field": "answer", "equals": "30 days"},
        "origin": {"kind": "regression", "incident": "answers-1"},
        "proof": {"bad": "0123456789abcdef", "good": "fedcba9876543210"},
        "mustPass": True,
    },
}  # fmt: skip


ORDER: dict[str, Any] = {
    "request": {
        "method": "POST", "path": "/orders", "port": 8443, "body": "{}", "query": [{"name": "a", "value": "b&c"}], "headers": {"Accept": "application/json"},
        "headersFrom": [{"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "robot", "key": "token"}}],
        "tls": {"serverName": "answers.shop.svc"},
    },
    "expect": {
        "status": 201, "maxLatency": "500ms",
        "headers": [{"name": "Content-Type", "contains": "json"}],
        "json": [{"path": "$.total", "number": 9.99, "tolerance": 0.01}, {"path": "$.error", "exists": False}, {"path": "$.id", "matches": "^A-[0-9]+$"}],
        "jsonSchema": {"type": "object", "required": ["total"]},
    },
}  # fmt: skip


def at(kind: str, **changes: Any) -> Object:
    """A good object with some paths (a__b__0__c) of its spec replaced; None removes one."""
    spec = copy.deepcopy(GOOD[kind])
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("__"))
        node: Any = spec
        for parent in parents:
            node = node[parent]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": kind, "metadata": {"name": "case"}, "spec": spec}


def named(name: str, body: Object) -> Object:
    return {**body, "metadata": {**body["metadata"], "name": name}}
