SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements
# cpu: torch without CUDA, for machines without a GPU. Untested: see docs/development.md.
TORCH_BACKEND ?=
VARIANT := $(if $(filter cpu,$(TORCH_BACKEND)),cpu)
SERVE_LOCK := $(LOCKS)/$(or $(VARIANT),serve).txt
NATIVE := $(wildcard apps/llm-api/native/*)
DEV_LOCK := $(LOCKS)/$(if $(VARIANT),cpu-dev,dev).txt
SERVE_READY := $(VENV)/.serve$(VARIANT)
DEV_READY := $(VENV)/.dev$(VARIANT)
DELIVERY_READY := $(VENV)/.delivery
PROXY_READY := $(VENV)/.proxy

UV := $(BIN)/uv --quiet
INSTALL := $(UV) pip install --python $(BIN)/python --no-deps
INSTALL_PROJECT := $(INSTALL) --build-constraints $(LOCKS)/build.txt --editable .
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(LOCK_ARGS)
COMPILE_CPU := UV_CUSTOM_COMPILE_COMMAND='make lock (untested: for TORCH_BACKEND=cpu, which adds torch itself, without CUDA and without a hash)' \
  $(COMPILE) pyproject.toml --excludes build/cuda.txt --no-emit-package torch
TORCH_CPU = $(if $(VARIANT),$(INSTALL) --torch-backend cpu --reinstall-package torch "$$(grep -oE '"torch==[^"]+' pyproject.toml | tr -d '"')")

# $(call suite,name,commands): runs the commands and prints how long they took. Separate them by `;`: bash -e ignores failures left of &&.
suite = start=$$SECONDS; $(2); awk -v s=$$((SECONDS - start)) 'BEGIN { printf "%-8s ok, %.1f min\n", "$(1)", s / 60 }'

# $(call tools,module): the folder with the tools that tools/build compiles
tools = $$(PYTHON=$(abspath $(BIN)/python) tools/build $(1))

.PHONY: help serve test lint format types imports unit models delivery manifests workflows pins platform schemas smoke image contract e2e e2e-delivery kind bench docs site site-serve lock clean bump promote release status diff scan sign gpu-smoke changed required free-disk accuracy bench-step bench-families bench-gpu up down restart e2e-proxy bench-proxy replicas structured-output clients clients-all contract-upstream bench-upstream

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

serve: $(SERVE_READY) ## Install missing packages, download the model, and serve it on PORT (8000)
	@exec $(BIN)/llm-api serve

up: $(PROXY_READY) ## Start nginx with TLS and REPLICAS (3) replicas on this machine, supervised: docs/proxy.md
	@$(BIN)/python -m proxy up

down: $(PROXY_READY) ## Stop the programs of `make up`, once running requests have ended
	@$(BIN)/python -m proxy down

restart: $(PROXY_READY) ## Restart the replicas of `make up` one after another; with several, no request is lost
	@$(BIN)/python -m proxy restart

replicas: $(PROXY_READY) ## Show the state of each program that `make up` started
	@$(BIN)/python -m proxy status

test: lint types imports unit delivery manifests workflows site ## Run the main checks: lint, types, imports, unit, delivery, manifests, workflows, site

lint: $(DEV_READY) ## Check style and formatting
	@$(call suite,lint,$(BIN)/ruff check --quiet .; $(BIN)/ruff format --quiet --check .; $(BIN)/hadolint apps/llm-api/Dockerfile)

format: $(DEV_READY) ## Fix style and formatting
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

types: $(DEV_READY) ## Check types, strictly
	@$(call suite,types,$(BIN)/mypy)

imports: $(DEV_READY) ## Check the import layers, and that the API never loads torch
	@$(call suite,imports,$(BIN)/lint-imports --no-logo)

unit: $(DEV_READY) ## Run the tests (PYTEST_ARGS for pytest)
	@$(call suite,model,$(BIN)/llm-api pull > /dev/null)
	@$(call suite,unit,$(BIN)/pytest $(PYTEST_ARGS))

models: $(DEV_READY) ## Compare every architecture with transformers, on tiny random models (PYTEST_ARGS for pytest)
	@$(call suite,models,MODELS=all $(BIN)/pytest apps/llm-api/tests/models $(PYTEST_ARGS))

SCHEMAS ?= 1200
structured-output: $(DEV_READY) ## Hold a random model to SCHEMAS (1200) schemas of each kind, and to the JSON-Schema-Test-Suite (online)
	@rm -rf build/jsonschema; mkdir -p build/jsonschema; sed -n '/^jsonschema==/,/[^\]$$/p' $(DEV_LOCK) > build/jsonschema/lock.txt
	@$(BIN)/pip download --quiet --no-deps --no-binary jsonschema --dest build/jsonschema --require-hashes -r build/jsonschema/lock.txt
	@SCHEMAS=$(SCHEMAS) JSON_SCHEMA_TEST_SUITE=$$(echo build/jsonschema/*.tar.gz) $(BIN)/pytest -s --override-ini timeout=3600 \
	  apps/llm-api/tests/serving/test_generated_schemas.py $(PYTEST_ARGS)

delivery: $(DEV_READY) ## Test bump, promote, release and diff on temporary git repositories
	@$(call suite,delivery,$(BIN)/pytest tests/bump tests/checks tests/promotion $(PYTEST_ARGS))

manifests: $(DEV_READY) ## Render every overlay, platform and cluster folder, and check the invariants (offline)
	@$(call suite,manifests,$(BIN)/python -m delivery manifests; $(BIN)/pytest tests/manifests $(PYTEST_ARGS))

workflows: $(DEV_READY) ## Check .github/workflows: syntax and security (offline)
	@$(call suite,workflows,tools=$(call tools); "$$tools/actionlint" -shellcheck= -pyflakes=; $(BIN)/zizmor --quiet --offline --strict-collection --persona pedantic .github)

pins: $(DELIVERY_READY) ## Look up every chart, image and action of pins.yaml (online)
	@$(BIN)/python -m delivery pins

platform: $(DEV_READY) ## Render each Helm chart of platform/ with its values, and check it (online)
	@$(call suite,platform,$(BIN)/pytest tests/platform $(PYTEST_ARGS); $(BIN)/python -m delivery platform)

schemas: $(DEV_READY) ## Regenerate tools/schemas from its pinned Go modules (GO: use this Go instead of the one of tools/go)
	@cd tools/schemas && GOTOOLCHAIN=local $(abspath $(BIN)/python) make_schemas.py --go "$${GO:-$$(../go)}"

smoke: $(DEV_READY) ## Test `make serve` in a fresh clone of HEAD, twice, with the openai client
	@$(call suite,smoke,$(BIN)/pytest -s tests/fresh_start)

image: ## Build the image with docker, podman or buildah (BASE_IMAGE, WITH_MODEL, PUSH: tools/image)
	@tools/image

contract: $(DEV_READY) ## Test the running service with thousands of generated requests (schemathesis)
	@$(call suite,model,$(BIN)/llm-api pull > /dev/null)
	@$(call suite,contract,$(BIN)/pytest -sx --override-ini timeout=1200 tests/contract $(PYTEST_ARGS))

clients: $(DEV_READY) ## Test real clients against the service: openai, anthropic, Vercel AI SDK, Java, Chromium (needs node, npm, java, chromium)
	@$(call suite,model,$(BIN)/llm-api pull > /dev/null)
	@$(call suite,clients,$(BIN)/pytest --override-ini timeout=900 tests/clients $(PYTEST_ARGS))

clients-all: $(DEV_READY) ## Also the slow ones: LangChain, DSPy, lm-eval and more (CLIENTS=aiperf: that one); writes the table of docs/reference/clients.md
	@$(call suite,clients,CLIENTS=$(or $(CLIENTS),all) $(BIN)/pytest --override-ini timeout=1800 tests/clients $(PYTEST_ARGS))
	@$(BIN)/python -m tools.docs

contract-upstream: $(DEV_READY) ## Test that all engines answer alike: ENGINES=own,vllm=http://127.0.0.1:8001 (docs/reference/engines.md)
	@$(call suite,engines,ENGINES=$(or $(ENGINES),own) $(BIN)/pytest --override-ini timeout=1800 tests/engines $(PYTEST_ARGS))

e2e: $(DEV_READY) ## Test the overlays and IMAGE on the cluster of KUBECONFIG (changes its namespace llm-api)
	@$(call suite,e2e,$(BIN)/pytest -s --override-ini timeout=600 tests/cluster $(PYTEST_ARGS))

e2e-delivery: $(DEV_READY) ## Deliver commits to the cluster of KUBECONFIG with Argo CD, starting from IMAGE; break and repair them
	@$(call suite,rollout,$(BIN)/pytest -s --override-ini timeout=600 tests/rollout $(PYTEST_ARGS))

kind: ## Create a kind cluster and a registry, push the image, run make e2e (KEEP=1 keeps the cluster; needs docker and kubectl)
	@PYTHON=$(PYTHON) tools/kind-cluster make e2e

bump: ## Pin the image that was built from COMMIT in overlays/dev, and push the commit (IMAGE, DIGEST, COMMIT)
promote: ## Open the pull request that gives prod the image of dev (SOAK; GITHUB_REPOSITORY, GITHUB_TOKEN)
release: ## Tag the newest promotion up to COMMIT as the next release (SAME_IMAGE=1: COMMIT itself, although the image is unchanged)
status: ## Show the desired image of each environment, and since when
diff: ## Show the effect of a change on an environment: rendered diff and forecast of the rollout (OVERLAY, OLD, NEW)
scan: ## Fail for a known vulnerability of IMAGE that has a fix and is not accepted
changed: ## Report whether the change since BASE needs a check on a cluster
required: ## Fail unless all jobs of NEEDS passed or could be skipped
bump status diff scan changed required: $(DELIVERY_READY)
	@$(BIN)/python -m delivery $@

promote release: $(DELIVERY_READY) # need cosign, to verify the signature
	@PATH="$(call tools,signing):$$PATH" $(BIN)/python -m delivery $@

sign: $(BIN)/python ## Sign IMAGE (by digest) with the identity of the caller: in a workflow, of that workflow
	@case "$$IMAGE" in *@sha256:*) ;; *) echo "IMAGE must be NAME@sha256:..." >&2; exit 1 ;; esac
	@"$(call tools,signing)/cosign" sign --yes "$$IMAGE"

gpu-smoke: ## Start IMAGE on a GPU of this machine, request a chat and a stream, and stop it (needs docker)
	@tools/gpu-smoke

free-disk: ## Remove unused toolchains from a runner hosted by GitHub; refuses to run anywhere else
	@tools/free-disk

e2e-proxy: $(DEV_READY) ## Test nginx and three replicas: kill, hang, restart and overload them, and count lost requests
	@$(call suite,proxy,$(BIN)/llm-api pull > /dev/null; $(BIN)/pytest -s --override-ini timeout=600 tests/reverse_proxy $(PYTEST_ARGS))

bench: $(SERVE_READY) ## Measure the service, and PEERS="name=URL ..." for comparison (BENCH_ARGS for more)
	@$(BIN)/llm-api bench $(PEERS:%=--peer %) --json build/bench.json --markdown docs/performance.md $(BENCH_ARGS)

bench-proxy: $(PROXY_READY) ## Measure the overhead of nginx: one replica directly and through nginx (BENCH_ARGS for more)
	@$(BIN)/python -m proxy bench $(BENCH_ARGS)

# The same setting as in the engine process (OPENMP_ENVIRONMENT in engine/launcher.py).
bench-upstream: $(SERVE_READY) ## Measure what the front of another engine costs: UPSTREAM_URL, or a scripted one
	@$(BIN)/python -m tools.bench_upstream

bench-step: export GOMP_SPINCOUNT ?= 10000
bench-step: $(SERVE_READY) ## Measure the engine's steps alone, in one process and without HTTP
	@$(BIN)/python -m tools.bench_step

bench-families: $(DEV_READY) ## Measure decode steps of each model family on each runner, with small random models
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.bench_families

bench-gpu: $(DEV_READY) ## Time decode steps of an 8B-shaped Llama with random weights on this machine's GPU (not yet tested on a GPU)
	@$(BIN)/python -m tools.bench_gpu

accuracy: $(SERVE_READY) ## Measure how QUANTIZATION changes accuracy (writes docs/performance.md)
	@$(BIN)/python -m llm_api.bench.accuracy --markdown docs/performance.md

docs: $(DEV_READY) ## Write the generated pages: settings, metrics, CLI, models, make targets, differences from OpenAI
	@$(BIN)/python -m tools.docs
	@$(BIN)/python -m tools.openai_types docs/openai.md

# The theme prints an advertisement unless this is set.
site site-serve: export NO_MKDOCS_2_WARNING := 1
site: $(DEV_READY) ## Build the documentation into build/site; a broken link fails (offline)
	@$(call suite,site,$(BIN)/mkdocs build --quiet --strict)

site-serve: $(DEV_READY) ## Preview the documentation on http://127.0.0.1:8008, reloaded on change
	@$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8008

lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(BIN)/uv ## Pin the requirements of pyproject.toml, with hashes (LOCK_ARGS=--upgrade for the newest)
	@mkdir -p build
	@$(COMPILE) --group bootstrap --output-file $(LOCKS)/bootstrap.txt
	@$(COMPILE) --group build --output-file $(LOCKS)/build.txt
	@$(COMPILE) --group delivery --output-file $(LOCKS)/delivery.txt --constraints $(LOCKS)/serve.txt
	@$(COMPILE) pyproject.toml --output-file $(LOCKS)/serve.txt
	@$(COMPILE) --group proxy --output-file $(LOCKS)/proxy.txt
	@$(COMPILE) pyproject.toml --output-file $(LOCKS)/dev.txt --group dev --constraints $(LOCKS)/serve.txt
	@grep -oE '^(triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)' $(LOCKS)/serve.txt > build/cuda.txt
	@$(COMPILE_CPU) --output-file $(LOCKS)/cpu.txt --constraints $(LOCKS)/serve.txt
	@$(COMPILE_CPU) --output-file $(LOCKS)/cpu-dev.txt --constraints $(LOCKS)/dev.txt --group dev

clean: ## Remove the environment, caches and build output
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find apps delivery proxy tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(SERVE_READY): $(SERVE_LOCK) pyproject.toml $(NATIVE) | $(BIN)/uv
	@echo "Installing $(SERVE_LOCK)"
	@$(INSTALL) --require-hashes --requirements $(SERVE_LOCK)
	@$(TORCH_CPU)
	@$(INSTALL_PROJECT)
	@touch $@

$(DEV_READY): $(DEV_LOCK) pyproject.toml $(NATIVE) | $(BIN)/uv
	@echo "Installing $(DEV_LOCK)"
	@$(INSTALL) --require-hashes --requirements $(DEV_LOCK)
	@$(TORCH_CPU)
	@$(INSTALL_PROJECT)
	@touch $@ $(SERVE_READY) $(DELIVERY_READY)

$(DELIVERY_READY): $(LOCKS)/delivery.txt | $(BIN)/uv
	@echo "Installing $(LOCKS)/delivery.txt"
	@$(INSTALL) --require-hashes --requirements $(LOCKS)/delivery.txt
	@touch $@

$(PROXY_READY): $(LOCKS)/proxy.txt $(SERVE_READY)
	@$(INSTALL) --require-hashes --requirements $<
	@touch $@

$(BIN)/uv: $(LOCKS)/bootstrap.txt | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# Uses PYTHON, else python3, else the newest versioned one: 3.11 or later
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || { echo "$$python cannot create virtual environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }; \
	    echo "Creating $(VENV) with $$("$$python" --version)"; exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	done; echo "Python 3.11 or later is required, but $(or $(PYTHON),python3) is older or missing: install it, or run make PYTHON=/path/to/python" >&2; exit 1
