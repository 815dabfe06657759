# make up | test | page | generate | lint | lock: each sets up what it needs first.

PYTHON_ENV = .venv/bin/python
OFFSET ?= 0
FAULT ?= crm-outage

.PHONY: up down test test-mutations lint generate page bench lock

up: .venv/ready ## start everything and run until Ctrl-C (OFFSET=1000 moves the ports, NATIVE=1 ignores Docker)
	@exec $(PYTHON_ENV) -m stack up --offset $(OFFSET) $(if $(NATIVE),--native)

down: .venv/ready ## end what `make up` started
	@$(PYTHON_ENV) -m stack down

page: .venv/ready ## the whole story: break it, wait for the page, mend it (FAULT=looping …)
	@$(PYTHON_ENV) -m stack page $(FAULT)

test: .venv/ready ## all tests, the real Prometheus and Alertmanager included
	$(PYTHON_ENV) -m pytest -m "not mutation"

test-mutations: .venv/ready ## move every number of every alert: a scenario must notice
	$(PYTHON_ENV) -m pytest -m mutation

lint: .venv/ready ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

generate: .venv/ready ## rules, dashboards and docs from catalog and thresholds
	$(PYTHON_ENV) -m alerts generate
	$(PYTHON_ENV) -m dashboards generate

bench: .venv/ready ## overhead of the instrumentation, beside the bare calls
	$(PYTHON_ENV) -m tests.bench

lock: .venv/ready ## resolve requirements.lock anew
	.venv/bin/uv pip compile --quiet --extra dev --no-emit-index-url --no-header --no-annotate --universal pyproject.toml -o requirements.lock

.venv/ready: requirements.lock pyproject.toml stack/setup.sh
	@sh stack/setup.sh
