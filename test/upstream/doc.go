// SPDX-License-Identifier: Apache-2.0

// Package upstream compares the project's parts with Kubernetes' own, linked from k8s.io/kubernetes. It is a module
// of its own because that needs some 35 replace directives.
package upstream
