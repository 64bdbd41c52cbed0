# Needs make and a Python >= 3.11; everything else is installed into .venv.   PYTHON=… picks the interpreter.
#   make run                 everything on this machine: console, API, workers, a replayed storm; PORT=8000 REPLAY=1
#   make test ARGS="-k rain" the tests, on servers of their own; HYPOTHESIS_PROFILE=search draws new cases
#   make check               lint, format, types, import contracts, migrations, the OpenAPI document
#   make bench               all measurements; bench-fanout, bench-scaleout, bench-sockets, bench-ingest, bench-live, bench-quality, bench-storage, bench-climbs, bench-ledger, bench-season one by one
#   make openapi             redraws docs/openapi.yaml         make lock   pins requirements*.txt again (needs uv)

PY := .venv/bin/python
# asked by running it: a version manager's stub may exist for a Python that does not
FIND = for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done
SYSTEM_PYTHON = $(or $(PYTHON),$(shell $(FIND)),python3)
ALONE := $(PY) -m backend.embedded --
BENCHMARKS := fanout scaleout sockets ingest live quality storage climbs ledger season
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-header --no-annotate --quiet

.DEFAULT_GOAL := run
.PHONY: run test check check-with-settings install install-dev lock openapi bench $(BENCHMARKS:%=bench-%)

run: install
	@$(PY) -m backend.up

test: install-dev
	$(PY) -m pytest $(ARGS)

install:
	@$(SYSTEM_PYTHON) backend/bootstrap.py

install-dev:
	@$(SYSTEM_PYTHON) backend/bootstrap.py dev

check: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(ALONE) $(MAKE) --no-print-directory check-with-settings

# RUN_DIR is the folder of the throw-away servers
check-with-settings:
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py spectacular --file "$$RUN_DIR/openapi.yaml" --validate --fail-on-warn
	@diff -u docs/openapi.yaml "$$RUN_DIR/openapi.yaml" || { echo 'docs/openapi.yaml is not what the code says: make openapi'; exit 1; }

openapi: install-dev
	$(ALONE) $(PY) manage.py spectacular --file docs/openapi.yaml --validate --fail-on-warn

lock:
	@command -v uv >/dev/null || { echo 'make lock needs uv: python3 -m pip install uv'; exit 1; }
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --group dev --constraint requirements.txt --output-file requirements-dev.txt

bench: $(BENCHMARKS:%=bench-%)

$(BENCHMARKS:%=bench-%): bench-%: install-dev
	@$(PY) -m tests.benchmarks.$* $(ARGS)
