SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STATE ?= .tandem
DATA ?=
PORT ?= 50051
MOVIELENS := .data/ml-latest-small
PROTOS := $(shell find protos -name '*.proto')

.PHONY: help setup run test data protos lint typecheck bench check test-real test-slow chaos-test image container-test kind-test bench-events

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is needed: install Python 3.11, or name it with PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt 'torch==2.13.0' setuptools
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	touch $(STAMP)

setup: $(STAMP) ## install Tandem and its tools into .venv

protos: $(STAMP) ## generate gen/ from protos/
	rm -rf gen && mkdir gen
	$(BIN)/python -m grpc_tools.protoc -Iprotos --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=gen --pyi_out=gen --grpc_python_out=gen --mypy_grpc_out=gen $(PROTOS)

data: $(STAMP) ## download MovieLens (ml-latest-small) into .data, or make a synthetic log
	$(BIN)/python -m training.dataset --into .data

run: $(STAMP) ## train if need be, then serve in the foreground (DATA=dir, STATE=dir, PORT=n)
	@data='$(DATA)'; \
	if [ -z "$$data" ]; then data=$$($(BIN)/python -m training.dataset --into .data) || exit 1; fi; \
	exec $(BIN)/tandem up --data "$$data" --state '$(STATE)' --port '$(PORT)'

test: $(STAMP) ## all tests that need no cluster (DATA=dir adds the MovieLens ones)
	DATA='$(DATA)' $(BIN)/python -m pytest

test-slow: $(STAMP) ## the tests that make test leaves out for their length
	$(BIN)/python -m pytest -m slow

test-real: $(STAMP) ## contract suites on Redis, PostgreSQL and a Milvus server; installs them
	tests/install_servers.sh
	. .servers/env && $(BIN)/python -m pytest tests/contract

chaos-test: $(STAMP) ## kill parts of running systems at random, and look for what was lost
	$(BIN)/python -m pytest -m chaos tests/chaos

image: ## build the images with docker, podman or buildah (ENGINE=program, BASE_IMAGE=image)
	$(PYTHON) -m deploy.docker.build

container-test: $(STAMP) ## all of Tandem in containers, on real stores: users' view, kills, memory
	tests/install_containers.sh
	ENGINE=podman $(PYTHON) -m deploy.docker.build
	TANDEM_REQUIRE_KUSTOMIZE=1 $(BIN)/python -m pytest -s -m containers tests/containers

kind-test: $(STAMP) ## deploy on a kind cluster and change everything under load (KIND_CLUSTER, KIND_CONFIG, KIND_NODE_IMAGE)
	@if command -v kind >/dev/null && ! command -v mmdebstrap >/dev/null && [ $$(id -u) -eq 0 ]; then tests/install_containers.sh || true; fi
	$(BIN)/python -m pytest -s -m kind tests/kind

bench: $(STAMP) ## speed of Recommend and of each stage, against a single-process server
	$(BIN)/tandem bench $(if $(DATA),--data '$(DATA)')

bench-events: $(STAMP) ## how fresh answers are after an event, and how many events a second are taken
	$(BIN)/python -m bench.freshness

lint: $(STAMP) ## ruff, formatting included
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

typecheck: $(STAMP) ## mypy --strict
	$(BIN)/mypy

check: lint typecheck protos ## what CI runs before the tests: style, types, generated code
	git diff --exit-code gen
