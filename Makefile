# Accord. Two commands are enough: `make run` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help run build web install test check bench fuzz pictures clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: build ## Build everything and start the demo home
	"$(CARGO_TARGET_DIR)/release/accord" demo $(ARGS)

build: web ## Build the program with its web UI (release)
	cargo build --release --locked -p accord

web: ## Build the web UI
	@scripts/need build web
	scripts/web

install: build ## Put the program into ~/.local/bin
	install -Dm755 "$(CARGO_TARGET_DIR)/release/accord" "$(HOME)/.local/bin/accord"

test: ## Set up and run every test
	scripts/test $(ONLY)

check: ## Format, lints and the laws of the house; no tests
	scripts/test format lint law

bench: ## Measure against the rivals and write the README's table
	@scripts/need build web bench
	cargo build --release --locked -p accord -p accord-bench
	scripts/as-root-of-a-network bench/run.py --write-readme $(ARGS)

fuzz: ## Fuzz every target for SECONDS_EACH (default 60) seconds
	scripts/fuzz $(or $(SECONDS_EACH),60)

pictures: ## Take the README's pictures again, in a real browser
	@scripts/need build web browser
	cargo build --release --locked -p accord
	ONLY=demo scripts/node apps/web/e2e/pictures.mjs
	scripts/as-root-of-a-network env ONLY=house scripts/node apps/web/e2e/pictures.mjs
	! compgen -G "/usr/lib/*/kodi/kodi.bin" >/dev/null || \
	  ACCORD="$(CARGO_TARGET_DIR)/release/accord" scripts/as-root-of-a-network python3 tests/peers/pictures.py

clean: ## Remove what was built
	cargo clean; rm -rf apps/web/dist apps/web/node_modules
