# ModelBox, the commands. `make serve` and `make test` install what they need, once, into .venv.
# The first Python that is new enough; `make PYTHON=python3.12 serve` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
FRAMEWORKS := $(VENV)/integrations
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# An empty environment for pip-compile: settings of one machine must not reach the lock files.
COMPILE = env -u PIP_CONSTRAINT -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--all-build-deps --no-config --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options $(UPGRADE)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-integrations check chaos demo watch lint format lock bench-read bench-metrics bench-artifacts bench-client graphiql live schema client migrate clean

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

serve: $(VENV)/.server ## Serve on http://127.0.0.1:8000 with an embedded PostgreSQL (ARGS="--port 9000").
	@exec $(BIN)/modelbox-server serve $(ARGS)

test: lint ## Run linters, type checker and all tests (ARGS="-k socket").
	@exec $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

test-integrations: $(VENV)/.dev $(FRAMEWORKS)/.installed ## Run the tests with real frameworks, PyTorch first (ARGS="-k sharded").
	@exec env MODELBOX_TORCH_PYTHON=$(CURDIR)/$(FRAMEWORKS)/bin/python $(BIN)/python -m pytest -m integrations $(ARGS)

chaos: $(VENV)/.dev ## Run the long tests: servers and PostgreSQL killed for minutes, 10 M points (ARGS="-k ledger").
	@exec $(BIN)/python -m pytest -m chaos --capture=no $(ARGS)

demo: $(VENV)/.demo ## Train real models and send everything to a running server (ARGS="--seconds 60").
	@exec $(BIN)/python -m demo $(ARGS)

watch: $(VENV)/.demo ## Draw what is being trained, live (ARGS="validation/loss --namespace vision").
	@exec $(BIN)/python examples/watch.py $(ARGS)

lint: $(VENV)/.dev ## Check style, types and the Dockerfile.
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy && $(BIN)/hadolint Dockerfile

format: $(VENV)/.dev ## Rewrite the code in the house format.
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench-read: $(VENV)/.dev ## Measure reads against the floor and PostGraphile.
	@exec $(BIN)/python -m benchmarks.read $(ARGS)

bench-metrics: $(VENV)/.dev ## Measure metrics against a bare COPY and MLflow.
	@exec $(BIN)/python -m benchmarks.metrics $(ARGS)

bench-artifacts: $(VENV)/.dev ## Measure files against cp, boto3 and MLflow.
	@exec $(BIN)/python -m benchmarks.artifacts $(ARGS)

bench-client: $(VENV)/.dev ## Measure the client against wandb, MLflow and trackio.
	@exec $(BIN)/python -m benchmarks.client $(ARGS)

live: ## Build the bundled page of live curves (needs Node and npm).
	npm --prefix examples/live ci && npm --prefix examples/live run build

schema: $(VENV)/.server ## Print the schema into graphql_schema/schema.graphql.
	@$(BIN)/modelbox-server schema > $(VENV)/schema.graphql && mv $(VENV)/schema.graphql graphql_schema/schema.graphql

client: $(VENV)/.dev ## Make the typed part of the client of the schema and its operations.
	@$(BIN)/python client/generate.py

migrate: $(VENV)/.server ## Bring the database to the newest schema.
	@exec $(BIN)/modelbox-server migrate $(ARGS)

graphiql: ## Build the bundled GraphiQL page (needs Node and npm).
	npm --prefix web/graphiql ci && npm --prefix web/graphiql run build

lock: $(VENV)/.dev ## Resolve the dependencies anew (UPGRADE=--upgrade for newer versions).
	$(COMPILE) --extra dev --extra demo -o requirements/dev.txt pyproject.toml client/pyproject.toml
	$(COMPILE) --extra demo -c requirements/dev.txt -o requirements/demo.txt pyproject.toml client/pyproject.toml
	$(COMPILE) -c requirements/dev.txt -o requirements/server.txt pyproject.toml

clean: ## Remove what was built; the data in .modelbox stays.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis web/graphiql/node_modules examples/live/node_modules

# One stamp a lock file: installed once, and again when the lock or the project file changes.
$(VENV)/.%: requirements/%.txt pyproject.toml client/pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ModelBox needs Python 3.11 or newer; name it: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Installing $< into $(VENV) (once; a minute or so)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "This Python lacks venv; Debian has it in the package python3-venv." >&2; exit 1; }
	@$(PIP) install --require-hashes -r $< && $(PIP) install --no-deps --no-build-isolation -e . -e client && touch $@

# Frameworks pin each other and are large: they get an environment of their own, and not that of the tests.
$(FRAMEWORKS)/.installed: requirements/integrations.in | $(VENV)/.dev
	@echo "Installing $< into $(FRAMEWORKS) (once; minutes, and gigabytes where no build for the CPU alone is found)"
	@test -x $(FRAMEWORKS)/bin/python || $(BIN)/python -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/python -m pip --disable-pip-version-check -qq install setuptools -r $< && \
		$(FRAMEWORKS)/bin/python -m pip --disable-pip-version-check -qq install --no-deps --no-build-isolation -e client && \
		touch $@
