"""The story of the contract suites: a skip of a real thing is a failure."""

import pytest

from e2e.stories.contracts import unexpected_skips


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        pytest.param(
            "SKIPPED [1] tests/contract/test_kube.py:324: the fake has no accounts", False, id="only a fake lacks it"
        ),
        pytest.param(
            "SKIPPED [1] tests/contract/test_prober.py:233: this machine has no IPv6", False, id="the machine lacks it"
        ),
        pytest.param(
            "SKIPPED [9] tests/contract/test_kube.py:41: OPSLOOP_CONTRACT_KUBECONFIG",
            True,
            id="the cluster is not named",
        ),
        pytest.param(
            "SKIPPED [4] tests/contract/test_telemetry.py:103: OPSLOOP_PROMETHEUS_URL is not set",
            True,
            id="no Prometheus",
        ),
        pytest.param("812 passed, 3 skipped in 61.00s", False, id="the closing line is no skip of its own"),
    ],
)
def test_a_skip_of_a_real_thing_is_unexpected(line: str, counts: bool) -> None:
    assert bool(unexpected_skips(f"....\n{line}\n")) is counts
