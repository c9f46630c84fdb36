"""What is e2e's own, what stands in the way of a run, and which processes an earlier run left."""

from __future__ import annotations

import os
from typing import Any

import pytest

from e2e.cluster import paths
from e2e.harness import session

Object = dict[str, Any]


def namespace(name: str, own: bool = True) -> Object:
    labels = {"kubernetes.io/metadata.name": name, **({session.LABEL: "true"} if own else {})}
    return {"metadata": {"name": name, "labels": labels}}


def operator(name: str, replicas: int = 1) -> Object:
    return {"metadata": {"name": "opsloop", "namespace": name}, "spec": {"replicas": replicas}}


def test_the_label_alone_decides_whose_a_namespace_is() -> None:
    unlabelled = {"metadata": {"name": "shop"}}
    assert session.own([namespace("shop-ops"), unlabelled, namespace("shift-1", own=False)]) == ["shop-ops"]


@pytest.mark.parametrize(
    ("namespaces", "operators", "sentence"),
    [
        pytest.param([], [], "", id="an empty cluster"),
        pytest.param([namespace("shop"), namespace("shop-ops")], [operator("shop-ops")], "", id="an earlier run"),
        pytest.param([namespace("mine", own=False)], [], "", id="a namespace of somebody else"),
        pytest.param([namespace("shop", own=False)], [], "namespace shop exists", id="a name that is taken"),
        pytest.param(
            [namespace("ops", own=False)], [operator("ops")], "helm uninstall opsloop -n ops", id="an operator"
        ),
        pytest.param([namespace("ops", own=False)], [operator("ops", 0)], "", id="an operator scaled to 0"),
    ],
)
def test_what_is_not_ours_and_stands_in_the_way_is_named(
    namespaces: list[Object], operators: list[Object], sentence: str
) -> None:
    refusal = session.in_the_way(namespaces, {"shop", "shop-ops"}, operators)
    assert sentence in refusal and bool(refusal) == bool(sentence)


class FakeClient:
    """Answers from lists; remembers what kubectl was told."""

    def __init__(self, running: dict[str, int]) -> None:
        self.running = running  # namespace → Deployments with pods
        self.commands: list[str] = []

    def items(self, plural: str, namespace: str = "", selector: str = "") -> list[Object]:
        number = self.running.get(namespace, 0)
        if plural == "deployments":
            return [{"spec": {"replicas": 1}}] * number
        return [{"metadata": {"name": f"pod-{i}"}} for i in range(number)]

    def kubectl(self, *arguments: str, **_: Any) -> str:
        self.commands.append(" ".join(arguments))
        if "scale" in arguments:
            self.running[arguments[1]] = 0
        return ""


class FakeProgress:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def wait(self, what: str, seconds: float, look: Any) -> None:
        assert look() == (True, "0 pods: ")


def test_earlier_runs_are_stopped_and_only_what_is_made_anew_is_deleted() -> None:
    client, progress = FakeClient({"shop": 8, "shift-1": 7, "old": 0}), FakeProgress()
    session.stop(client, progress, ["shop", "shift-1", "old"], {"shift-1"})  # type: ignore[arg-type]
    assert client.commands == [
        "-n shop scale deployment --all --replicas=0",
        "-n shift-1 scale deployment --all --replicas=0",
        "delete namespace shift-1 --wait=false",
    ]
    assert progress.lines == [
        "namespace shop of an earlier run: 8 Deployments stopped, objects kept",
        "namespace shift-1 of an earlier run is removed",
    ]


def test_a_process_is_left_over_only_if_it_runs_a_program_of_our_cache() -> None:
    assert not session.is_left(os.getpid())
    assert not session.is_left(1)


def test_a_second_run_is_refused_while_the_first_one_lasts(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    with session.alone(), pytest.raises(session.Refused, match=f"process {os.getpid()}"), session.alone():
        pass
    with session.alone():
        pass
