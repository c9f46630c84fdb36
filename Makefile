# Targets set up all that they need by themselves: a virtual environment here, everything else under ~/.cache/opsloop/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Compiled once, not by each of the many processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
SEED ?= 1
EPISODES ?= 400
TICKET ?=
PROMETHEUS ?=
VENV := .venv
PY := $(VENV)/bin/python
DOCS := build/docs-venv
DOCS_LOCK := docs/site/requirements.lock
DOCS_STAMP := $(DOCS)/.ready-$(shell cat $(DOCS_LOCK) 2>/dev/null | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.ready-$(shell cat requirements-dev.lock pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help drill demo test unit weathers check cluster cluster-delete images install generate docs bench sim soak e2e

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "python environment in $(VENV) ($$($(PYTHON) --version))"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.ready-* && touch $(STAMP)

drill: $(STAMP) cluster images ## one shift on a kind cluster: break, detect, roll back, learn, fix, gate (SEED=n, TICKET=file)
	@$(PY) -m e2e.drill --seed $(SEED) $(if $(TICKET),--ticket "$(TICKET)")

demo: $(STAMP) cluster images ## the drill narrated for a person, pausing at each stage
	@$(PY) -m e2e.drill --seed $(SEED) --narrate $(if $(TICKET),--ticket "$(TICKET)")

test: check unit weathers e2e ## check, unit, a fixed part of the simulator and the stories on kind

unit: $(STAMP) ## unit, property and contract tests against the fakes, on all cores: no cluster, a few minutes on two
	@$(PY) -m pytest -n auto --dist worksteal -m "not simulation" tests

weathers: $(STAMP) ## a fixed part of `make sim`, the long laws, whole drills, deaths at every eighth write: no cluster, some minutes
	@$(PY) -m pytest -n auto --dist worksteal -m simulation $$(grep -rl 'mark\.simulation' tests --include='test_*.py')

check: $(STAMP) ## format, lint, types, import contracts, names and words, generated files
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) tools/style.py
	@$(PY) tools/changelog.py
	@$(PY) tools/generate.py --check

e2e: $(STAMP) cluster images
	@$(PYTHON) -m e2e.cluster images traefik
	@$(PY) -m e2e.stories

cluster: ## a working kind cluster, from public images or built offline
	@$(PYTHON) -m e2e.cluster up

cluster-delete: ## delete it, and stop the container engine that we started
	@$(PYTHON) -m e2e.cluster down

images: $(STAMP) cluster ## build the operator's and the demo's images and load them on the node
	@$(PYTHON) -m e2e.cluster images

install: images ## the operator by its Helm chart, for all namespaces (PROMETHEUS=http://service.namespace:9090)
	@eval "$$($(PYTHON) -m e2e.cluster tools | sed 's/^/export /')"; \
	"$$KUBECTL" apply --server-side --force-conflicts -f crds/; \
	"$$HELM" upgrade --install opsloop charts/opsloop --namespace opsloop-system --create-namespace --set crds.install=false \
	  --set image.repository=opsloop/opsloop --set image.tag=dev --set image.pullPolicy=Never $(if $(PROMETHEUS),--set "prometheus.url=$(PROMETHEUS)") --wait --timeout 120s

generate: $(STAMP) ## CRDs from the models, manifests from the chart
	@$(PY) tools/generate.py

$(DOCS_STAMP): $(DOCS_LOCK)
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(DOCS_LOCK)
	@rm -f $(DOCS)/.ready-* && touch $(DOCS_STAMP)

docs: $(DOCS_STAMP) ## the documentation site, in out/docs/site; fails on a link or an anchor that leads nowhere
	@$(PYTHON) tools/docs_site.py --generator $(CURDIR)/$(DOCS)/bin/zensical

bench: $(STAMP) cluster images ## reaction, requests and memory over one shift; a heavy load on the deployed intake and without a cluster; placing storms; a long ticket queue
	@failed=0; \
	$(PY) -m e2e.bench || failed=1; \
	$(PY) -m e2e.bench.load.on_kind || failed=1; \
	$(PY) -m e2e.bench.load || failed=1; \
	$(PY) -m e2e.bench.storms || failed=1; \
	$(PY) -m e2e.bench.tickets || failed=1; \
	exit $$failed

sim: $(STAMP) ## how well it judges: a table over EPISODES=400 weathers in fake time; fails where a goal is not met
	@$(PY) -m tests.sim --episodes $(EPISODES) --toys

soak: $(STAMP) cluster images ## longer stories: more weathers and seeds, the operator killed at every write, laws on up to 2000 examples, wrong bodies and objects
	@failed=0; \
	$(PY) -m tests.sim --episodes 1000 --first 100001 || failed=1; \
	$(PY) -m tests.poison || failed=1; \
	HYPOTHESIS_PROFILE=soak $(PY) -m pytest -n auto --dist worksteal -m soak tests || failed=1; \
	$(PYTHON) -m e2e.cluster images traefik || failed=1; \
	$(PY) -m e2e.stories --soak || failed=1; \
	exit $$failed
