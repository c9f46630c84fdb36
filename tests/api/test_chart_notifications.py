"""The chart's notifications: Secrets by reference only, and refused values."""

import json
import subprocess
from typing import Any

import pytest

from tests.api.test_chart import HELM, needs_helm, of_kind, one
from tests.builders import yamls
from tools import generate


def render_with(values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "--kube-version", "1.34.0", "-f", "-"]
    asked = json.dumps({"image": {"repository": "r.example/opsloop"}, "crds": {"install": False}, **values})
    return subprocess.run(command, capture_output=True, text=True, check=False, input=asked)


@needs_helm
@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        pytest.param({"format": "slack", "url": "https://hooks.slack.com/x"}, "urlSecret", id="Slack's URL is a secret"),
        pytest.param({"format": "pagerduty"}, "keySecret", id="PagerDuty without its key"),
        pytest.param({"format": "alertmanager"}, "url", id="Alertmanager without an address"),
        pytest.param({"format": "json", "url": "http://me:pw@desk"}, "url", id="a password in an address"),
        pytest.param({"format": "json", "url": "http://desk", "token": "s3cr3t"}, "additional properties 'token' not allowed", id="a secret by value"),
        pytest.param({"format": "template", "url": "http://desk"}, "template", id="no template"),
        pytest.param({"format": "pigeon", "url": "http://desk"}, "value must be one of 'alertmanager'", id="a format that is none"),
        pytest.param({"format": "json", "url": "http://desk", "severities": {"sev5": "x"}}, "sev5", id="a severity that is none"),
        pytest.param({"format": "json", "url": "http://desk", "tokenSecret": {"name": "a"}, "basicAuthSecret": {"name": "b"}}, "not", id="two credentials"),
    ],
)  # fmt: skip
def test_a_wrong_receiver_is_refused(receiver: dict[str, Any], said: str) -> None:
    done = render_with({"notifications": {"receivers": {"it": receiver}, "default": ["it"]}})
    assert done.returncode and said in done.stderr


@needs_helm
def test_the_secrets_of_receivers_are_mounted_and_never_in_the_file() -> None:
    receivers = {
        "oncall": {"format": "pagerduty", "keySecret": {"name": "pd", "key": "routing-key"}},
        "am": {"format": "alertmanager", "url": "https://am:9093", "tokenSecret": {"name": "am"}, "tls": {"caSecret": {"name": "ca"}}},
    }  # fmt: skip
    done = render_with({"notifications": {"receivers": receivers, "default": ["oncall"]}})
    documents = [document for document in yamls.load_all(done.stdout) if document]
    pod = one(documents, "Deployment")["spec"]["template"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "notifications-access")
    paths = {item["path"]: (s["secret"]["name"], item["key"]) for s in volume["projected"]["sources"] for item in s["secret"]["items"]}  # fmt: skip
    assert paths == {"oncall/key": ("pd", "routing-key"), "am/token": ("am", "token"), "am/ca.crt": ("ca", "ca.crt")}
    (file,) = (d["data"]["notifications.json"] for d in of_kind(documents, "ConfigMap") if "notifications" in d["metadata"]["name"])  # fmt: skip
    at = "/var/run/secrets/opsloop-notifications"
    assert json.loads(file)["receivers"] == {
        "oncall": {"format": "pagerduty", "keyFile": f"{at}/oncall/key"},
        "am": {"format": "alertmanager", "url": "https://am:9093", "bearerTokenFile": f"{at}/am/token", "tls": {"caFile": f"{at}/am/ca.crt"}},
    }  # fmt: skip
