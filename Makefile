# The verbs. `make` alone lists them; each sets up what it needs, under .venv and .make.

BIN := .venv/bin
# Two at a time: the end-to-end tests have their own networks, but share the machine's time.
JOBS ?= 2

.PHONY: help run demo test check corpus fuzz bench clean set-up set-up-tests \
	check-format check-lint check-types check-imports check-repository
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The tests start the program some hundred times: compiling its files each time is a third of that.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

run: set-up ## start the whole list on this machine: DNS on 5300, web on 8080, SMTP on 2525
	@exec $(BIN)/rbl serve

demo: set-up ## see one open relay nominated, tested, listed, fixed and delisted
	@exec $(BIN)/rbl demo

# ARGS='tests/zone -x' goes to pytest. As root, and without ARGS, the whole program is measured.
test: set-up-tests ## run every test; as root also those with real mail servers and PostgreSQL
	@sh tools/test_packages.sh
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n $(JOBS) --dist loadgroup $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $$([ "$$(id -u)" = 0 ] && [ -z '$(ARGS)' ] || echo --fail-under=0)

check: check-format check-lint check-types check-imports check-repository ## format, lint, types, import rules, what may be committed
check-format: set-up-tests
	@$(BIN)/ruff format --check --quiet .
check-lint: set-up-tests
	@$(BIN)/ruff check --quiet .
check-types: set-up-tests
	@$(BIN)/mypy
check-imports: set-up-tests
	@$(BIN)/lint-imports --no-logo
check-repository: set-up-tests
	@$(BIN)/pytest --quiet tests/test_repository.py

# NAMES='postfix-blocks exim' tests only those whose names begin so. Needs root, and Debian's packages.
corpus: set-up-tests ## start a hundred mail servers, open and closed, and hold the tester to the truth about each
	@sh tools/test_packages.sh
	@sh tests/e2e/packages.sh .make/e2e tests/e2e/corpus/packages.txt
	@$(BIN)/python -m tests.e2e.corpus --nmap $(NAMES)

# PACKETS='5000000' takes as many.
fuzz: set-up-tests ## hold the compiled DNS path to the other one over a million spoiled queries, with sanitizers
	@$(BIN)/python tools/fuzz.py $(PACKETS)

# SIZES='10000000' measures a list of so many entries: it needs 20 GiB of memory and half an hour.
bench: set-up-tests ## measure rbl beside rbldnsd, NSD and Knot, and write docs/benchmarks.md
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		sh tests/e2e/packages.sh .make/bench tools/bench_packages.txt >&2; \
	else echo "bench: not root, or no apt-get: what is not in .make/bench is left out" >&2; fi
	@$(BIN)/python tools/bench.py $(SIZES)

clean: ## remove what these verbs made; the data in var/ stays
	rm -f rbl/responder/*.so
	rm -rf .venv .make build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

set-up:
	@sh tools/set_up.sh requirements.lock

set-up-tests:
	@sh tools/set_up.sh requirements-dev.lock
