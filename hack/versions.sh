# shellcheck shell=bash disable=SC2034
# The versions that the shell scripts need. Go modules pin their own: go.mod, go.tools.mod, hack/node-image/*/go.mod.
# `make verify` checks that the two agree.

# podtrail's own version: the next release.
PODTRAIL_VERSION=v0.1.0
# Kubernetes that a built node image holds and that our scheduler is linked from.
KUBERNETES_VERSION=v1.36.3
# kind's node image where a registry answers: the default of the pinned kind release.
KIND_NODE_IMAGE=kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5
# The tags that kubeadm of KUBERNETES_VERSION asks for (`kubeadm config images list`).
PAUSE_VERSION=3.10.2
ETCD_IMAGE_VERSION=3.6.8-0
COREDNS_VERSION=v1.14.2
# The Debian release of a built node image.
DEBIAN_RELEASE=bookworm
# The oldest Go that compiles Kubernetes 1.36.
GO_MINIMUM=1.26.0
