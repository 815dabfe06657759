# make up | test | page | drill | chaos | deploy-check | generate | docs | lint | lock: each sets up what it needs first.

PYTHON_ENV = .venv/bin/python
# Byte code is kept, whatever the shell says, but away from the sources: else every command compiles all that it loads.
export PYTHONPYCACHEPREFIX = $(CURDIR)/.stack/bytecode
unexport PYTHONDONTWRITEBYTECODE
OFFSET ?= 0
FAULT ?= crm-outage
EVAL ?=
HISTORY ?=
# The short form of a long suite: one of so many alerts, counted from there.
SAMPLE ?= 1
START ?= 0

.PHONY: up down test test-scenarios test-browser test-e2e test-engines test-mutations test-frameworks test-grafana test-compose test-first-run test-formats test-adoption test-real-model test-fuzz drill chaos deploy-check lint generate docs page bench load bench-ledger bench-rules bench-adoption truth dist lock test-fuzz-files

up: .venv/ready ## start everything and run until Ctrl-C (OFFSET=1000 moves the ports, NATIVE=1 ignores Docker, HISTORY=healthy makes up three weeks, SNAPSHOTS=1 lets it be backed up while it runs)
	@exec $(PYTHON_ENV) -m stack up --offset $(OFFSET) $(if $(NATIVE),--native) $(if $(HISTORY),--history $(HISTORY)) $(if $(SNAPSHOTS),--snapshots)

down: .venv/ready ## end what `make up` started
	@$(PYTHON_ENV) -m stack down

page: .venv/ready ## the whole story: break it, wait for the page, mend it (FAULT=looping …)
	@$(PYTHON_ENV) -m stack page $(FAULT)

test: .venv/ready ## the tests of every part, in some minutes; what takes longer has a target of its own, below
	$(PYTHON_ENV) -m pytest -m "not (adoption or browser or compose or e2e or formats or frameworks or grafana or mutation or scenarios)" -n 3 --dist loadfile --no-loadscope-reorder

test-scenarios: .venv/ready ## every scenario of every alert on the real promtool
	$(PYTHON_ENV) -m pytest -m scenarios -n 3 --dist worksteal tests/alerts

test-browser: .venv/ready ## our pages in Chromium: drawn, readable, usable, nothing cut off (SAMPLE=3 START=1: one of three runbooks and docs)
	SAMPLE=$(SAMPLE) START=$(START) $(PYTHON_ENV) -m pytest -m browser -n 3 --dist loadfile

test-e2e: .venv/ready ## whole stacks, servers and installations: faults are paged and mended, processes killed, wheels installed
	$(PYTHON_ENV) -m pytest -m e2e -n 3 --dist loadfile

test-frameworks: .stack/frameworks/ready ## the adapters, on the real packages of their frameworks in an environment of their own (one needs Node)
	.stack/frameworks/bin/python -m pytest -m frameworks -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning tests/frameworks
	.stack/frameworks/bin/python -m mypy exporter/agentgauge/adapters tests/frameworks

test-grafana: .venv/ready ## the dashboards drawn by Grafana's own components in Chromium (needs Node and npm; pictures in .stack/pictures)
	$(PYTHON_ENV) -m pytest -m grafana tests/grafana

test-formats: .venv/ready ## Inspect AI and promptfoo themselves read exported evaluations (needs Node and npm; installed in .stack/formats)
	$(PYTHON_ENV) -m pytest -m formats tests/exporter/evals

test-compose: .venv/ready ## docker-compose.yml on a real engine, both profiles: fault, page, runbook, restarts (SHORT=1: clocks ten times as fast; WRITE=1 writes docs/containers.md; root on Debian where no engine answers)
	@$(PYTHON_ENV) -m tests.containers $(if $(SHORT),--short) $(if $(WRITE),--write)

test-first-run: .venv/ready ## from a clone to the first page on empty Debians, cold and warm (root on Debian; ONLY=trixie, WRITE=1 writes docs/first-run.md)
	@$(PYTHON_ENV) -m tests.containers.first_run $(if $(ONLY),--only "$(ONLY)") $(if $(WRITE),--write)

drill: .venv/ready ## cause every alert there is on the real programs, and print who was paged and when (SAMPLE=3 START=1: one of three; WRITE=1 keeps the results for the docs)
	@$(PYTHON_ENV) -m stack drill --sample $(SAMPLE) --start $(START) $(if $(WRITE),--write) $(ALERTS)
	@$(if $(WRITE),$(PYTHON_ENV) -m stack.reference)

chaos: .venv/ready ## break what the agent stands on, under load: table of what survived and what was lost (ONLY=word, SEED=7, SHORT=1, WRITE=1 keeps the results for the docs)
	@$(PYTHON_ENV) -m stack chaos $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED)) $(if $(SHORT),--short) $(if $(WRITE),--write)
	@$(if $(WRITE),$(PYTHON_ENV) -m stack.reference)

test-adoption: .venv/ready ## the example agent on the wheel alone: an empty environment, a real model on this machine (some minutes)
	$(PYTHON_ENV) -m pytest -m adoption -s -v tests/adoption

test-real-model: .venv/ready ## the same in an environment that is kept in .stack: the model is installed once (ONLY=budget picks tests)
	AGENTGAUGE_STRANGER=.stack/stranger $(PYTHON_ENV) -m pytest -m adoption -s -v tests/adoption $(if $(ONLY),-k "$(ONLY)")

test-mutations: .venv/ready ## move every number of every alert: a scenario must notice (SAMPLE=3 START=1: one alert of three)
	SAMPLE=$(SAMPLE) START=$(START) $(PYTHON_ENV) -m pytest -m mutation tests/alerts

test-fuzz: .venv/ready ## anything at all handed to the library, with faults beneath it: nothing raises, every scrape can be read (many minutes; EXAMPLES=20000, SECONDS=600, SEED=7 repeats a slice)
	@EXAMPLES=$(EXAMPLES) SECONDS=$(SECONDS) SEED=$(SEED) $(PYTHON_ENV) -m tests.exporter.fuzz

test-fuzz-files: .venv/ready ## every file that the project reads, with anything in it: one error that says where (EXAMPLES=100; many minutes)
	EXAMPLES=$(or $(EXAMPLES),20000) $(PYTHON_ENV) -m pytest -q -n 3 --dist worksteal --timeout 0 tests/exporter/files/test_fuzz_files.py

test-engines: .venv/ready ## every scenario on Prometheus 2 and 3 and on VictoriaMetrics: they must agree (ALERTS="AgentCostSpike …", SAMPLE=12 START=1)
	@$(PYTHON_ENV) -m tests.alerts.engines --sample $(SAMPLE) --start $(START) $(ALERTS)

deploy-check: .venv/ready ## evaluations: a scenario that is broken or regressed stops the deploy (EVAL="--model … --prompts …", without a key EVAL=--allow-played)
	@$(PYTHON_ENV) -m agentgauge eval run --junit .stack/evals/junit.xml --json-file .stack/evals/run.json $(EVAL)

lint: .venv/ready ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

generate: .venv/ready ## the committed bundle: rules, dashboards, runbooks and configuration, rendered for the demo
	$(PYTHON_ENV) -m bundle.generate
	$(PYTHON_ENV) -m stack.reference

docs: .venv/ready ## the documentation as a site, in .stack/docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON_ENV) -m mkdocs build --quiet --strict -f stack/docs.yml

truth: .venv/ready ## the real rules on made-up traffic: false pages, minutes to find and to end (SEED=7, SHORT=1, ONLY=word, WRITE=1 writes docs/truth.md)
	$(PYTHON_ENV) -m truth --seed $(or $(SEED),1) $(if $(SHORT),--short) $(if $(ONLY),--only "$(ONLY)") $(if $(WRITE),--write)

bench-adoption: .venv/ready ## from `pip install` to the first number, for each adapter and for other tools (some minutes; ONLY=word, WRITE=1 writes docs/adoption.md)
	@$(PYTHON_ENV) -m tests.adoption.first_minutes $(if $(ONLY),--only "$(ONLY)") $(if $(WRITE),--write)

bench-ledger: .venv/ready ## what the ledger costs as users grow from a hundred to a million (some minutes)
	$(PYTHON_ENV) -m tests.bench.ledger

load: .venv/ready ## many replicas on one real Prometheus: what each costs, and where it breaks (REPLICAS="20 200", RATE=100, SECONDS=90, WRITE=1 keeps it for the docs)
	@$(PYTHON_ENV) -m stack.load $(foreach number,$(REPLICAS),--replicas $(number)) $(if $(RATE),--rate $(RATE)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(WRITE),--write)
	@$(if $(WRITE),$(PYTHON_ENV) -m stack.reference)

bench-rules: .venv/ready ## what all rules cost on a real Prometheus with 200 replicas (ten minutes; REPLICAS=50, SECONDS=120, WRITE=1 keeps it for the docs)
	@$(PYTHON_ENV) -m stack.load.rules $(if $(REPLICAS),--replicas $(REPLICAS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(WRITE),--write)
	@$(if $(WRITE),$(PYTHON_ENV) -m stack.reference)

bench: .venv/ready ## overhead of the instrumentation, beside the bare calls (PEERS=1: beside other tools, too; WRITE=1 writes docs/overhead.md)
	@$(PYTHON_ENV) -m tests.bench $(if $(PEERS),--peers) $(if $(WRITE),--write)

dist: .venv/ready ## the wheel and the source archive, in dist
	rm -rf dist
	.venv/bin/uv build --quiet --no-build-isolation --python .venv/bin/python --out-dir dist

lock: .venv/ready ## resolve requirements.lock, frameworks.lock and the locks of the tools that `make bench PEERS=1` measures
	.venv/bin/uv pip compile --quiet --extra dev --generate-hashes --no-emit-index-url --no-header --no-annotate --universal pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile --quiet --extra frameworks --generate-hashes --no-emit-index-url --no-header --no-annotate --universal pyproject.toml -o frameworks.lock
	@for one in tests/bench/peers/*.in; do .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 "$$one" -o "$${one%.in}.lock" || exit 1; done

.stack/frameworks/ready: frameworks.lock pyproject.toml | .venv/ready
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .stack/frameworks
	.venv/bin/uv pip install --quiet --require-hashes --python .stack/frameworks/bin/python -r frameworks.lock
	.venv/bin/uv pip install --quiet --python .stack/frameworks/bin/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/ready: requirements.lock pyproject.toml stack/setup.sh stack/install.sh
	@sh stack/setup.sh
