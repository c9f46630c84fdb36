"""What is read from files that others wrote: apt sources, Dockerfiles, capabilities, go.mod."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e.cluster import debian, docker, engine, golang, images, lifecycle, paths

CLASSIC = """\
# deb http://commented.example/debian trixie main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib
deb-src http://source.example/debian bookworm main
deb https://other.example/apt stable main
"""
DEB822 = """\
Types: deb
URIs: http://vendor.example/node
Suites: nodistro
Components: main

Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize("text", [CLASSIC, DEB822])
def test_the_debian_mirror_is_found_in_either_format_and_nothing_else_is(text: str) -> None:
    assert debian.mirrors(text) == ["http://mirror.example/debian"]


def test_a_disabled_stanza_is_no_mirror() -> None:
    text = "Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: x\nComponents: main\n"
    assert debian.mirrors(text) == []


def test_bases_are_resolved_through_arguments_and_own_stages_are_left_out() -> None:
    text = "ARG BASE=debian:trixie-slim\nFROM --platform=x ${BASE} AS build\nFROM scratch\nFROM build\nFROM other:1\n"
    assert docker.bases(text) == ["debian:trixie-slim", "other:1"]
    assert docker.bases(text, {"BASE": "mine:2"}) == ["mine:2", "other:1"]


def test_every_dockerfile_of_the_cluster_starts_from_the_one_base_image() -> None:
    files = [*paths.HERE.rglob("*Dockerfile")]
    assert files and {base for file in files for base in docker.bases(file.read_text())} == {"debian:trixie-slim"}


def test_a_machine_without_the_capability_gets_the_kubelet_gate() -> None:
    assert lifecycle.may_set_limits("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert not lifecycle.may_set_limits("Name:\tx\nCapEff:\t000001fffeffffff\n")
    assert "KubeletInUserNamespace" in lifecycle.configuration(own_cni=True, limits=False)
    assert "KubeletInUserNamespace" not in lifecycle.configuration(own_cni=True, limits=True)


def test_only_the_image_with_its_own_network_has_kinds_network_off() -> None:
    assert "disableDefaultCNI: true" in lifecycle.configuration(own_cni=True, limits=True)
    assert "disableDefaultCNI: false" in lifecycle.configuration(own_cni=False, limits=True)


def test_versions_come_from_go_mod_and_the_staging_modules_follow_them() -> None:
    version = golang.kubernetes_version()
    text = (golang.MODULES / "kubernetes" / "go.mod").read_text()
    staging = version.replace("v1.", "v0.", 1)
    replaced = [line for line in text.splitlines() if " => " in line]
    assert len(replaced) == 31 and all(line.endswith(f" {staging}") for line in replaced)
    assert f"gitVersion={version}" in golang.ldflags("kubernetes")


def test_files_named_in_dockerignore_do_not_belong_to_the_context(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# kept out\n**/junk\nmanifests\n*.md\n")
    for name in ("app/main.py", "app/junk/x", "manifests/a.yaml", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    names = [str(path.relative_to(tmp_path)) for path in images.context_files(tmp_path)]
    assert names == [".dockerignore", "app/main.py"]


def test_a_process_that_only_has_the_recorded_pid_is_not_ours() -> None:
    assert not engine.is_ours(os.getpid(), "dockerd")
    assert os.getpid() not in engine.ours()


def test_what_takes_minutes_to_build_is_made_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(images, "ensure_one", lambda image: made.append(image.ref))
    monkeypatch.setattr(images, "load", lambda refs: None)
    monkeypatch.setattr(images, "capture", lambda command: "")
    monkeypatch.setattr(debian, "ensure_base", lambda: None)
    images.ensure()
    assert "opsloop/opsloop:dev" in made and not [ref for ref in made if "traefik" in ref]
    made.clear()
    images.ensure(["traefik"])
    assert made == [f"traefik:{golang.pinned('traefik', 'github.com/traefik/traefik/v3')}"]


def test_the_gateway_api_has_the_version_that_its_go_mod_names() -> None:
    assert golang.pinned("traefik", "sigs.k8s.io/gateway-api") == "v1.4.1"
