# Everything a person or a CI runs. `make help` lists the targets; each one builds what it needs first.
# Stamps make a second `make build` instant: node_modules/.weft-lock is the package-lock.json that was installed,
# dist/.built is as old as the last compilation.

MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

BIN := node_modules/.bin
ADDON := native-bindings/build/Release/weft_native.node
ADDON_SOURCES := $(shell find native-bindings -name build -prune -o \( -name '*.cc' -o -name '*.h' -o -name '*.gyp' \) -print 2>/dev/null)
TS_SOURCES := $(shell find src test bench -name '*.ts' 2>/dev/null) $(wildcard tsconfig*.json)

# Arguments for the tests: make test FILES='test/wire test/io/native-engine.test.ts'
FILES ?=

.PHONY: help build packages test test-slow test-compose e2e demo compose compose-demo compose-down bench bench-services bench-dns bench-cluster bench-against bench-micro profile lint format docs docs-compose clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

build: packages $(ADDON) dist/.built ## install packages, build the addon and the command line

# Compared by content: a checkout that only touches the file does not install again.
packages:
	@cmp -s package-lock.json node_modules/.weft-lock || { sh scripts/check-tools.sh build && sh scripts/install-packages.sh; }

$(ADDON): $(ADDON_SOURCES) | packages
	@sh scripts/check-tools.sh build
	@sh scripts/build-addon.sh
	@touch $@

dist/.built: $(TS_SOURCES) | packages
	@echo 'compiling TypeScript'
	@$(BIN)/tsc -b
	@sh scripts/link-command.sh
	@touch $@

test: build ## every test but the slow ones; FILES='test/wire …' for some of them
	@sh scripts/check-tools.sh test
	@node scripts/run-tests.mjs $(or $(FILES),unit e2e)

e2e: build ## the end-to-end tests alone, in network namespaces
	@sh scripts/check-tools.sh test
	@node scripts/run-tests.mjs e2e

test-slow: build ## what takes minutes: test/**/*.slow.test.ts
	@sh scripts/check-tools.sh test
	@node scripts/run-tests.mjs slow

test-compose: build ## the compose lab from an empty machine; installs and starts Docker where root may
	@node scripts/run-tests.mjs compose

compose: ## three hosts as containers: builds the image, brings them up, says what to try
	@sh compose/up.sh

compose-demo: build ## every check against the hosts that `make compose` brought up
	@node dist/test/compose/demo.js

compose-down: ## take the containers and their network down
	@sh compose/down.sh

demo: build ## a network of three hosts: traffic, failover, throughput, one table
	@sh scripts/check-tools.sh run
	@node dist/src/cli/main.js demo

bench: build ## Weft beside everyone, 25 minutes; report in docs/benchmarks/; BENCH='--subjects tcp-1 --rounds 1'
	@sh scripts/check-tools.sh bench
	@node dist/src/cli/main.js bench $(or $(BENCH),--out docs/benchmarks)

bench-services: build ## services: Weft beside HAProxy, nginx and the kernel, 4 minutes; report in docs/benchmarks/
	@sh scripts/check-tools.sh bench
	@node dist/src/cli/main.js bench --services $(or $(BENCH),--out docs/benchmarks)

bench-dns: build ## names: Weft beside dnsmasq, Unbound and Knot DNS, 2 minutes; report in docs/benchmarks/
	@sh scripts/check-tools.sh bench
	@node dist/src/cli/main.js bench --dns $(or $(BENCH),--out docs/benchmarks)

bench-cluster: build ## the API server with 500 nodes, on LMDB and on etcd, 5 minutes; report in docs/benchmarks/
	@node dist/src/cli/main.js bench --cluster $(or $(BENCH),--out docs/benchmarks)

bench-quick: build ## the main ratios in a minute and a half; fails under a floor
	@sh scripts/check-tools.sh bench
	@node dist/src/cli/main.js bench --quick

bench-peers: ## install the programs that the bench shows Weft beside, where root may
	@sh scripts/install-peers.sh

bench-against: build ## this Weft beside one that was built in another checkout: AGAINST=FOLDER
	@node dist/src/cli/main.js bench --against $(AGAINST) $(or $(BENCH),--out docs/benchmarks)

profile: build ## where the processors' time goes, Weft and kernel VXLAN; as root, with perf; writes docs/benchmarks/profile.md
	@node dist/bench/profile.js $(BENCH)

bench-micro: build ## what the dataplane's decisions cost, in memory; writes docs/benchmarks/pipeline.md
	@node dist/bench/micro/run.js $(BENCH)

lint: build ## format, lint, types of promises, import rules, unused code
	@node scripts/lint.mjs

format: packages ## let biome format every file
	@$(BIN)/biome check --write --linter-enabled=false .

docs: build ## renew the real output that README.md and docs/ show
	@node scripts/update-docs.mjs

docs-compose: build ## the same of the compose lab, and its pictures; an engine of its own where none runs
	@node dist/test/compose/docs.js

clean: ## remove everything that was built
	@rm -rf dist native-bindings/build .tap node_modules/.weft-lock
