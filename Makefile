# podtrail's targets; `make help` lists them. The work is in hack/*.sh, which run alone as well.

SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help

# The cluster that cluster-*, deploy, undeploy and demo work on; the e2e suite makes one of its own.
export CLUSTER_NAME ?= podtrail
# Port of the cluster's registry on this machine.
export REGISTRY_PORT ?= 5001
# auto, pull or build: where the node image comes from.
export NODE_IMAGE ?= auto

# How many executions make fuzz-admission does.
FUZZ_RUNS ?= 200000

# One set of flags everywhere, so that all builds share Go's build cache, as in hack/lib/common.sh. What the user's GOFLAGS
# say of modules is left out, and git is not asked: it refuses a checkout that belongs to somebody else.
export CGO_ENABLED = 0
export GO111MODULE = on
export GOWORK = off
override GOFLAGS := $(strip -trimpath -buildvcs=false \
	$(filter-out -mod=% --mod=% -modfile=% --modfile=% -trimpath -buildvcs=%,$(GOFLAGS)))
export GOFLAGS
MODULES = . scheduler-plugin test/upstream
TOOL = GOWORK=off go tool -modfile=go.tools.mod
LINT = golangci-lint-kube-api-linter

# The groups of make help, in this order. A target is in the group that is named last before it.
##@ Try it
##@ Look
##@ Break and put back
##@ Clean up
##@ One step at a time
##@ Work on it
##@ Test
##@ Measure
##@ Documents

##@ Look

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## *"} \
		/^##@/ {group = substr($$0, 5); if (!(group in lines)) {lines[group] = ""; groups[++n] = group}} \
		/^[a-z0-9-]+:.*##/ {lines[group] = lines[group] sprintf("  %-22s %s\n", $$1, $$2)} \
		END {for (i = 1; i <= n; i++) printf "\n%s\n%s", groups[i], lines[groups[i]]; \
			print "\nWith the lines of make env, podtrail --help lists what podtrail shows."}' Makefile

##@ Try it

.PHONY: demo
demo: ## From nothing to two traced Pods: cluster, deploy, samples, trails, a refusal.
	@hack/run-demo.sh

.PHONY: env
env: ## Print the lines that select the cluster: eval "$(make -s env)", in fish make -s env | source.
	@hack/print-env.sh

##@ One step at a time

.PHONY: cluster-up
cluster-up: ## Bring up the kind cluster and its registry; quick if it is up.
	@hack/cluster-up.sh

##@ Clean up

.PHONY: cluster-down
cluster-down: ## Remove the cluster and all that belongs to it, but not the caches.
	@hack/cluster-down.sh

##@ Look

.PHONY: cluster-status
cluster-status: ## Say whether the cluster is up, and what runs on it.
	@hack/cluster-status.sh

##@ Clean up

.PHONY: clean-cache
clean-cache: ## Remove what is kept between runs: built components, images, Docker data of our own.
	@hack/clean-cache.sh

##@ One step at a time

.PHONY: build
build: ## Build the podtrail command into bin/.
	@hack/build-programs.sh podtrail

.PHONY: run
run: ## Run the manager on this machine; it leads, without webhooks, once the cluster's own is scaled to 0.
	KUBECONFIG=bin/$(CLUSTER_NAME).kubeconfig go run ./cmd/manager \
		--sidecar-image=localhost:5001/podtrail/sampleapp:dev --zap-devel

.PHONY: images
images: ## Build the images of all parts and push them to the cluster's registry.
	@hack/build-images.sh

.PHONY: install
install: ## Install the CRD alone.
	bin/kubectl --kubeconfig bin/$(CLUSTER_NAME).kubeconfig apply --server-side -k config/crd

.PHONY: uninstall
uninstall: ## Remove the CRD, and with it every TeachingReplicaSet.
	bin/kubectl --kubeconfig bin/$(CLUSTER_NAME).kubeconfig delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: build ## Build, push and apply all parts, and wait until they are ready.
	@hack/deploy.sh

##@ Break and put back

.PHONY: deploy-policies
deploy-policies: ## Put the CEL policies of config/policy in the webhooks' place.
	@hack/deploy-policies.sh policies

.PHONY: deploy-webhooks
deploy-webhooks: ## Put the webhooks back in the policies' place.
	@hack/deploy-policies.sh webhooks

##@ Clean up

.PHONY: undeploy
undeploy: ## Take all parts out of the cluster, the webhook configurations first.
	@hack/undeploy.sh

##@ Break and put back

.PHONY: lab-webhook-deadlock
lab-webhook-deadlock: ## A careless webhook locks the cluster up; what it looks like, and the way out.
	@hack/lab-webhook-deadlock.sh

##@ Work on it

.PHONY: generate
generate: ## Generate deep copies.
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: ## Generate the CRD.
	$(TOOL) controller-gen crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir=config/crd/bases
	GOWORK=off go run ./hack/bound-crd config/crd/bases/apps.podtrail.dev_teachingreplicasets.yaml

##@ Documents

.PHONY: docs-output
docs-output: ## Write the outputs that documents show, from the cluster that make demo leaves.
	@hack/update-docs.sh

.PHONY: recordings
recordings: build ## Make docs/recordings anew on the cluster that make deploy leaves; they are test data too.
	@hack/record-trails.sh

.PHONY: replayed-docs
replayed-docs: ## Write the outputs that documents show of docs/recordings; needs no cluster.
	GOWORK=off go test -count=1 ./test/docs -run TestReplayedOutputs -update

##@ Work on it

.PHONY: fmt
fmt: ## Format Go and shell.
	gofmt -w -s $$(. hack/lib/common.sh && tracked_files '*.go')
	$(TOOL) shfmt -w $$(hack/list-scripts.sh)

.PHONY: vet
vet: ## Run go vet on all modules.
	@failed=; for module in $(MODULES); do echo "go vet $$module"; (cd $$module && go vet ./...) || failed="$$failed $$module"; done; \
		[ -z "$$failed" ] || { echo "go vet objects in:$$failed" >&2; exit 1; }

.PHONY: lint
lint: ## Run the linters on all modules.
	@hack/run-lint.sh

.PHONY: lint-fix
lint-fix: ## Run the linters and mend what they can.
	@hack/run-lint.sh --fix

##@ Test

.PHONY: test
test: test-unit test-integration ## Unit tests and integration tests on a real API server and etcd.

.PHONY: test-unit
test-unit: ## Unit tests of all modules.
	@hack/run-tests.sh unit

.PHONY: test-integration
test-integration: ## Integration tests on a real API server and etcd.
	@hack/run-tests.sh integration

.PHONY: test-faults
test-faults: ## The controller under every fault, beside upstream's: a table of cells, as Markdown.
	@hack/run-tests.sh faults

.PHONY: test-e2e
test-e2e: build ## All parts and samples on a kind cluster of its own, podtrail-e2e.
	@hack/run-e2e.sh

##@ Measure

.PHONY: audit-rbac
audit-rbac: ## Which rights the parts have and have not used, by the cluster's audit log; after make test-e2e KEEP=1.
	@hack/audit-rbac.sh

##@ Test

.PHONY: fuzz-admission
fuzz-admission: ## Send 200000 bent admission reviews to the webhooks' handlers (FUZZ_RUNS).
	GOWORK=off go test ./webhooks -run '^$$' -fuzz FuzzAdmissionReview -fuzztime $(FUZZ_RUNS)x

##@ Measure

.PHONY: bench-controller
bench-controller: ## Measure the TeachingReplicaSet controller beside upstream's, as Markdown tables.
	@hack/bench-controller.sh

.PHONY: bench-admission
bench-admission: ## Measure what the webhooks add to a request, beside policies in CEL, as Markdown tables.
	@hack/bench-admission.sh

.PHONY: bench-scheduler
bench-scheduler: ## Measure the scheduler with and without its plugins beside upstream's, as Markdown tables.
	@hack/bench-scheduler.sh

.PHONY: bench-recorder
bench-recorder: ## Measure what recording costs: 5,000 Pods without kubelets, then on the cluster if it is up.
	@hack/bench-recorder.sh

##@ Test

.PHONY: verify
verify: ## Check what is generated, formatted, linted, pinned and documented.
	@hack/verify.sh
