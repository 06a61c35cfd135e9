# Two commands do all the set-up on a machine with Python 3.11 or later and make: `make demo` and `make test`.
#
#   make demo                      draft a report of a generated chest CT
#   make demo STUDY=path/to/ct     draft a report of your own CT (folder, zip, DICOM or NIfTI file)
#   make serve                     the reading room: worklist, viewer, editing and signing in a browser
#   make test                      run the whole test suite
#
# A CUDA build of torch: install it into .venv first (it is left alone), or say what pip should install:
#   make demo PIP_TORCH="torch --index-url ADDRESS"

VENV      ?= .venv
PYTHON    ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
PIP_TORCH ?= $(shell grep '^torch==' constraints.txt)
STUDY     ?=
HISTORY   ?=
LANGUAGE  ?= en
OUT       ?= demo/report
PHANTOM   := demo/phantom/case-0129
TESTS     ?= tests
WORKERS   ?= 2

BIN       := $(VENV)/bin
PIP       := $(BIN)/python -m pip --disable-pip-version-check --quiet
PACKAGES  := medomni preprocessing adapters evaluation app

.PHONY: help demo serve test check format docs bench mlflow clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -9
	@echo "  make check | format | docs | bench | mlflow | clean"

demo: $(VENV)/.stamp-run
ifeq ($(strip $(STUDY)),)
	@test -d $(PHANTOM) || $(BIN)/medomni phantom --count 1 --seed 129 --out demo/phantom
	@$(BIN)/medomni draft $(PHANTOM)/dicom --history "$(or $(HISTORY),$(PHANTOM)/history.txt)" --lang $(LANGUAGE) --out "$(OUT)" --force
else
	@$(BIN)/medomni draft "$(STUDY)" --history "$(HISTORY)" --lang $(LANGUAGE) --out "$(OUT)" --force
endif
	@echo "Open $(OUT)/report.html in a browser."

serve: $(VENV)/.stamp-app
	@exec $(BIN)/medomni serve

test: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0 $(TESTS)

check: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/contract/test_wheel.py

format: $(VENV)/.stamp-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.stamp-dev
	$(BIN)/python docs/notices_page.py

bench: $(VENV)/.stamp-dev
	@missed=""; for script in benchmarks/*.py; do \
	  echo "== $$script"; $(BIN)/python $$script; code=$$?; test $$code -eq 0 || missed="$$missed $$script($$code)"; \
	done; test -z "$$missed" || { echo "missed a bar or failed (exit code):$$missed"; exit 1; }

mlflow: $(VENV)/.stamp-run
	@uri="$$($(BIN)/python -c 'import os; from medomni.settings import load; print(load(os.environ).tracking_uri)')"; \
	echo "MLflow shows the runs of 'medomni draft --track' at http://127.0.0.1:5000 (ready in about 30 seconds)"; \
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
	exec $(BIN)/mlflow ui --backend-store-uri "$$uri" --host 127.0.0.1 --port 5000 --workers 1

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: install it, or say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and by its exact version, so that nothing else chooses a build of it. One that is there stays.
# The other pins are then followed without the line of torch.
$(VENV)/constraints.txt: constraints.txt pyproject.toml | $(BIN)/python
	@$(BIN)/python -c 'import torch; assert tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)' 2>/dev/null \
	  || { echo "Fetching torch (about 200 MB) ..."; $(PIP) install $(PIP_TORCH); }
	@grep -v '^torch==' constraints.txt > $@

$(VENV)/.stamp-run: $(VENV)/constraints.txt
	@echo "Installing MedOmni into $(VENV), once; this takes some minutes ..."
	$(PIP) install -c $(VENV)/constraints.txt -e .
	@touch $@

$(VENV)/.stamp-app: $(VENV)/constraints.txt
	@echo "Installing MedOmni and its web app into $(VENV), once; this takes some minutes ..."
	$(PIP) install -c $(VENV)/constraints.txt -e ".[app]"
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-dev: $(VENV)/constraints.txt
	$(PIP) install -c $(VENV)/constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.stamp-run $(VENV)/.stamp-app
