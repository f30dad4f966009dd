# A bare `make` prints this list. CI runs .ci/run.
.PHONY: help run build test race lint generate check-generated bench bench-growth e2e fuzz
LINT := go tool -modfile=tools/go.mod golangci-lint
BUF  := go tool -modfile=tools/go.mod buf
FUZZTIME ?= 10s

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
run: build ## show the main job: a CA, two workloads, mutual TLS, certificates swapped under them
	bin/pando demo
build: ## build bin/pando
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/pando
test: ## run all tests (installs PostgreSQL, nginx, HAProxy, Prometheus and SoftHSM2 where it can)
	scripts/ensure-postgres
	scripts/ensure-proxies && scripts/ensure-prometheus
	scripts/ensure-softhsm
	go test ./...
	CGO_ENABLED=1 go test -tags pkcs11 ./ca/keystore ./cmd/pando -run 'Token|SoftHSM'
race: ## run the tests of what is concurrent under the race detector (SQLite in its directory only)
	scripts/ensure-postgres
	go test -race -skip 'ConformanceInMemory' ./agent/... ./client/... ./rotation/... ./server/... ./store/...
lint: ## run the linters named in .golangci.yml
	$(LINT) run
	$(BUF) lint
generate: ## make the generated code and documents anew
	$(BUF) generate
	go test ./server/rest -run TestDescriptionIsCommitted -update
check-generated: generate ## fail if generated files are not those in the repository
	git diff --exit-code -- api
bench: build ## measure issuance against the raw limit of this machine, and handshakes against static ones
	scripts/ensure-postgres && go run ./cmd/pandobench
	go test ./client -run '^$$' -bench 'Handshake$$' -benchtime 6000x
bench-growth: build ## compare an empty table with one of five million rows
	scripts/ensure-postgres
	go run ./cmd/pandobench -growth 5000000
e2e: ## root rotations under 200 workloads, the leader killed and stopped, Postgres crashed, a root revoked
	scripts/ensure-postgres
	PANDO_E2E_ROTATIONS=3 PANDO_E2E_PAIRS=100 go test ./cmd/pando -run TestRotationUnderLoad -count=1 -v -timeout 30m
fuzz: ## fuzz every parser of outside bytes, FUZZTIME each
	scripts/fuzz $(FUZZTIME)
