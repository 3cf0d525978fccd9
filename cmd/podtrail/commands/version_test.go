// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

const serverVersion = "GET /version"

// TestVersionWithoutACluster: the own version is printed all the same, and the command ends with 0.
func TestVersionWithoutACluster(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	config := kubeconfig(t, closed.URL)
	closed.Close()
	code, out, errOut := call(t, "version", "--kubeconfig", config)
	if code != 0 || !strings.HasPrefix(out, "podtrail ") || strings.Count(out, "\n") != 1 || !strings.Contains(errOut, "can't be reached") {
		t.Errorf("exit code %d, printed %q and %q", code, out, errOut)
	}
}

func TestVersionOfTheCluster(t *testing.T) {
	server := httptest.NewServer(api{answers: map[string]string{serverVersion: `{"gitVersion":"v1.36.1"}`}})
	defer server.Close()
	config := kubeconfig(t, server.URL)
	code, out, errOut := call(t, "version", "--kubeconfig", config)
	if want := "Kubernetes v1.36.1 at " + server.URL + "\n"; code != 0 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, printed %q, want %q in it", code, out, want)
	}
	if want := "missing: There is no recorder"; !strings.Contains(errOut, want) {
		t.Errorf("said %q, want %q in it", errOut, want)
	}
	code, out, _ = call(t, "version", "--kubeconfig", config, "-o", "json")
	var found versions
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 0 {
		t.Fatalf("exit code %d, printed %q: %v", code, out, err)
	}
	if found.Kubernetes != "v1.36.1" || found.Server != server.URL || found.Podtrail == "" || len(found.Problems) != 1 {
		t.Errorf("JSON says %+v", found)
	}
	if code, _, errOut := call(t, "version", "-o", "yaml"); code != collect.WrongUse || !strings.Contains(errOut, "text, json") {
		t.Errorf("of an output that is none: exit code %d, said %q", code, errOut)
	}
}

func TestVersionsArePrinted(t *testing.T) {
	var out, errOut bytes.Buffer
	found := versions{
		Podtrail: "v2", ClientGo: "v0.36.3", Go: "go1.26.0", Server: "https://c", Kubernetes: "v1.36.3",
		Parts: []collect.PartVersion{{Component: "manager", Version: "v2", Pods: 2}, {Component: "recorder", Pods: 3}},
		Skew:  "podtrail is v2 and in the cluster run recorder of an older version",
	}
	if err := found.print(genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}, "text"); err != nil {
		t.Fatal(err)
	}
	want := "podtrail v2, k8s.io/client-go v0.36.3, go1.26.0\nKubernetes v1.36.3 at https://c\nmanager v2, Pods: 2\n" +
		"recorder of an older version, Pods: 3\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if want := "warning: podtrail is v2 and in the cluster run recorder of an older version: make deploy\n"; errOut.String() != want {
		t.Errorf("said %q, want %q", errOut.String(), want)
	}
}
