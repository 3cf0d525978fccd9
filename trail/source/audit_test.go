// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/internal/recorded"
	"podtrail.dev/podtrail/trail/source"
)

// podCreate is a create of a Pod as an audit event; edit changes it.
func podCreate(edit func(event map[string]any)) source.Record {
	event := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1",
		"stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/n/pods?fieldManager=me", "verb": "create",
		"user":           map[string]any{"username": "jo", "groups": []any{"devs", "system:authenticated"}},
		"userAgent":      "kubectl/v1.36.3 (linux/amd64)",
		"objectRef":      map[string]any{"resource": "pods", "namespace": "n", "name": "x", "apiVersion": "v1"},
		"responseStatus": map[string]any{"code": 201},
		"requestObject": map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{"name": "x"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "app"}}}},
		"responseObject": map[string]any{"kind": "Pod", "apiVersion": "v1",
			"metadata": map[string]any{"name": "x", "uid": "u-1", "resourceVersion": "7"},
			"spec": map[string]any{
				"containers": []any{map[string]any{"name": "app"}},
				"volumes":    []any{map[string]any{"name": "token"}}, "priority": 0,
			}},
		"requestReceivedTimestamp": "2026-11-22T12:00:00.000000Z", "stageTimestamp": "2026-11-22T12:00:00.010000Z",
		"annotations": map[string]any{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
	}
	edit(event)
	data, err := json.Marshal(event)
	if err != nil {
		panic(err) // the test's own literal
	}
	return source.Record{Source: source.Audit, Node: "cp", Data: data}
}

func annotate(event map[string]any, pairs ...string) {
	annotations := event["annotations"].(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		annotations[pairs[i]] = pairs[i+1]
	}
}

func refuse(event map[string]any, code int, reason, message string) {
	status := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
	event["responseStatus"], event["responseObject"] = status, status
}

func parse(t *testing.T, record source.Record) map[trail.Stage]trail.Observation {
	t.Helper()
	observations, err := source.ParseAudit(record)
	if err != nil {
		t.Fatal(err)
	}
	out := map[trail.Stage]trail.Observation{}
	for _, o := range observations {
		out[o.Stage] = o
	}
	return out
}

func TestWhatAStageSays(t *testing.T) {
	const patch = `{"configuration":"c","webhook":"w.example.com","patch":[` +
		`{"op":"add","path":"/spec/initContainers","value":[{"name":"proxy","env":[{"name":"KEY","value":"hidden"}]}]},` +
		`{"op":"add","path":"/spec/schedulerName","value":"mine"},` +
		`{"op":"add","path":"/spec/containers/0/env/0/value","value":"hidden"},` +
		`{"op":"add","path":"/metadata/annotations/example.com~1note","value":"yes"}],"patchType":"JSONPatch"}`
	cases := map[string]struct {
		edit        func(event map[string]any)
		stage       trail.Stage
		wantSummary string
		wantMissing bool
	}{
		"submit names client, method, path, field manager": {
			stage: trail.Submit, wantSummary: "kubectl 1.36.3 POST …/pods (me, 95 B as JSON)",
		},
		"a client certificate": {
			edit: func(e map[string]any) {
				e["user"].(map[string]any)["extra"] = map[string]any{"authentication.kubernetes.io/credential-id": []any{"X509SHA256=0123456789abcdef"}}
			},
			stage: trail.Authenticate, wantSummary: "jo, group devs, client certificate 01234567…",
		},
		"a service account's token": {
			edit: func(e map[string]any) {
				e["user"] = map[string]any{
					"username": "system:serviceaccount:kube-system:replicaset-controller",
					"groups":   []any{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
					"extra":    map[string]any{"authentication.kubernetes.io/credential-id": []any{"JTI=c77c0529-aaaa"}},
				}
			},
			stage: trail.Authenticate, wantSummary: "service account kube-system/replicaset-controller, token c77c0529…",
		},
		"an impersonated user is named beside the real one": {
			edit:  func(e map[string]any) { e["impersonatedUser"] = map[string]any{"username": "bob"} },
			stage: trail.Authenticate, wantSummary: "jo, group devs, acting as bob",
		},
		"a ClusterRoleBinding": {
			edit: func(e map[string]any) {
				annotate(e, "authorization.k8s.io/reason", `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "devs"`)
			},
			stage: trail.Authorize, wantSummary: "allowed by ClusterRoleBinding b → ClusterRole r",
		},
		"a RoleBinding, whose name RBAC writes before its namespace": {
			edit: func(e map[string]any) {
				annotate(e, "authorization.k8s.io/reason", `RBAC: allowed by RoleBinding "b/n" of Role "r" to ServiceAccount "sa/n"`)
			},
			stage: trail.Authorize, wantSummary: "allowed by RoleBinding n/b → Role r",
		},
		"a kubelet without a reason is the Node authorizer's": {
			edit:  func(e map[string]any) { e["user"] = map[string]any{"username": "system:node:worker"} },
			stage: trail.Authorize, wantSummary: "allowed by the Node authorizer: a kubelet, for a Pod on its own node",
		},
		"system:masters": {
			edit: func(e map[string]any) {
				e["user"] = map[string]any{"username": "root", "groups": []any{"system:masters"}}
			},
			stage: trail.Authorize, wantSummary: "allowed: group system:masters may do everything, RBAC is not asked",
		},
		"another user without a reason is not explained away": {
			stage: trail.Authorize, wantSummary: "allowed; the authorizer gave no reason",
		},
		"no decision": {
			edit:  func(e map[string]any) { delete(e["annotations"].(map[string]any), "authorization.k8s.io/decision") },
			stage: trail.Authorize, wantMissing: true,
		},
		"built-in plugins alone": {
			stage: trail.Mutate, wantSummary: "built-in plugins: +1 volume, 1 field set\nno mutating webhook was called",
		},
		"a webhook's patch in words, without values of env, and not counted among the built-in changes": {
			edit: func(e map[string]any) {
				annotate(e, "mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":true}`,
					"patch.webhook.admission.k8s.io/round_0_index_0", patch)
				spec := e["responseObject"].(map[string]any)["spec"].(map[string]any)
				spec["schedulerName"] = "mine"
				spec["initContainers"] = []any{map[string]any{"name": "proxy", "image": "p"}}
			},
			stage: trail.Mutate,
			wantSummary: "built-in plugins: +1 volume, 1 field set\nwebhook w.example.com: " +
				"+ initContainers proxy, schedulerName=mine, + value, annotation example.com/note=yes",
		},
		"a webhook that is called again after another changed the object": {
			edit: func(e map[string]any) {
				annotate(e, "mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":true}`,
					"mutation.webhook.admission.k8s.io/round_1_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":false}`)
			},
			stage: trail.Mutate,
			wantSummary: "built-in plugins: +1 volume, 1 field set\n" +
				"webhook w.example.com: changed the object (the patch is kept from audit level Request on)\n" +
				"webhook w.example.com called again: no change",
		},
		"a webhook that failed open": {
			edit: func(e map[string]any) {
				annotate(e, "failed-open.mutation.webhook.admission.k8s.io/round_0_index_1", "w.example.com")
			},
			stage: trail.Mutate,
			wantSummary: "built-in plugins: +1 volume, 1 field set\nwebhook w.example.com failed and was passed over (failurePolicy Ignore)\n" +
				"no mutating webhook was called",
		},
		"what defaulting set is known from kubectl's note": {
			edit: func(e map[string]any) {
				meta := e["requestObject"].(map[string]any)["metadata"].(map[string]any)
				note := map[string]any{"kubectl.kubernetes.io/last-applied-configuration": `{"metadata":{"name":"x"},"spec":{}}`}
				meta["annotations"] = note
				e["responseObject"].(map[string]any)["metadata"].(map[string]any)["annotations"] = note
			},
			stage:       trail.Mutate,
			wantSummary: "defaults: +1 container\nbuilt-in plugins: +1 volume, 1 field set\nno mutating webhook was called",
		},
		"audit level Metadata says how to get more": {
			edit: func(e map[string]any) {
				e["level"] = "Metadata"
				delete(e, "requestObject")
				delete(e, "responseObject")
			},
			stage: trail.Mutate,
			wantSummary: "no mutating webhook was called\npatches and defaults are not known: audit level Metadata keeps no bodies; " +
				"for bodies set level RequestResponse for namespace n in the API server's audit policy",
		},
		"audit level Metadata does not know the resourceVersion": {
			edit: func(e map[string]any) {
				e["level"] = "Metadata"
				delete(e, "requestObject")
				delete(e, "responseObject")
			},
			stage: trail.Persist, wantMissing: true,
		},
		"a validating webhook's notes become one verdict": {
			edit: func(e map[string]any) {
				annotate(e, "v.example.com/outcome", "allowed", "v.example.com/reason", "fine", "v.example.com/rule", "r1")
			},
			stage: trail.Validate, wantSummary: "webhook v.example.com: allowed, fine (rule r1)",
		},
		"a mutating webhook's notes are not taken for a verdict": {
			edit: func(e map[string]any) {
				annotate(e, "mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":false}`,
					"w.example.com/outcome", "unchanged")
			},
			stage: trail.Validate, wantSummary: "allowed; no webhook or policy left a note",
		},
		"the stored version": {stage: trail.Persist, wantSummary: "stored as resourceVersion 7"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.edit == nil {
				tc.edit = func(map[string]any) {}
			}
			got := parse(t, podCreate(tc.edit))[tc.stage]
			if d := cmp.Diff(tc.wantSummary, got.Summary); d != "" {
				t.Errorf("summary (-want +got):\n%s", d)
			}
			if (got.Missing != nil) != tc.wantMissing {
				t.Errorf("missing is %v, want %v", got.Missing, tc.wantMissing)
			}
			if text, _ := json.Marshal(got); strings.Contains(string(text), "hidden") {
				t.Errorf("a value of env is told: %s", text)
			}
		})
	}
}

func TestARefusalEndsAtTheStageThatRefused(t *testing.T) {
	cases := map[string]struct {
		edit      func(event map[string]any)
		wantStage trail.Stage
	}{
		"no valid credential": {func(e map[string]any) { refuse(e, 401, "Unauthorized", "Unauthorized") }, trail.Authenticate},
		"no rule allows it": {func(e map[string]any) {
			annotate(e, "authorization.k8s.io/decision", "forbid")
			refuse(e, 403, "Forbidden", `pods is forbidden: User "jo" cannot create resource "pods"`)
		}, trail.Authorize},
		"a mutating webhook denies": {func(e map[string]any) {
			annotate(e, "mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":false}`)
			refuse(e, 403, "Forbidden", `admission webhook "w.example.com" denied the request: no`)
		}, trail.Mutate},
		"a mutating webhook can't be called": {func(e map[string]any) {
			annotate(e, "mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"w.example.com","mutated":false}`)
			refuse(e, 500, "InternalError", `Internal error occurred: failed calling webhook "w.example.com": connection refused`)
		}, trail.Mutate},
		"the namespace has no such service account": {func(e map[string]any) {
			refuse(e, 403, "Forbidden", `pods "x" is forbidden: error looking up service account n/sa: serviceaccount "sa" not found`)
		}, trail.Mutate},
		"a validating webhook denies": {func(e map[string]any) {
			refuse(e, 403, "Forbidden", `admission webhook "v.example.com" denied the request: no`)
		}, trail.Validate},
		"quota": {func(e map[string]any) {
			refuse(e, 403, "Forbidden", `pods "x" is forbidden: exceeded quota: q`)
		}, trail.Validate},
		"an invalid object": {func(e map[string]any) { refuse(e, 422, "Invalid", `Pod "x" is invalid`) }, trail.Validate},
		"a body that can't be decoded": {func(e map[string]any) {
			refuse(e, 400, "BadRequest", "strict decoding error: unknown field")
		}, trail.Submit},
		"the name is taken": {func(e map[string]any) { refuse(e, 409, "AlreadyExists", `pods "x" already exists`) }, trail.Persist},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			observations, err := source.ParseAudit(podCreate(tc.edit))
			if err != nil {
				t.Fatal(err)
			}
			last := observations[len(observations)-1]
			if last.Stage != tc.wantStage || last.Failure == nil {
				t.Errorf("ends at %s with %v, want %s with a failure", last.Stage, last.Failure, tc.wantStage)
			}
			if last.Subject.UID != "" {
				t.Errorf("a refused object has UID %q", last.Subject.UID)
			}
			if len(observations) != int(tc.wantStage) {
				t.Errorf("%d stages told, want %d", len(observations), tc.wantStage)
			}
		})
	}
}

func TestEventsThatAreNoFinishedWriteGiveNothing(t *testing.T) {
	cases := map[string]func(event map[string]any){
		"a read":                    func(e map[string]any) { e["verb"] = "get" },
		"a dry run":                 func(e map[string]any) { e["requestURI"] = "/api/v1/namespaces/n/pods?dryRun=All" },
		"another resource":          func(e map[string]any) { e["objectRef"].(map[string]any)["resource"] = "secrets" },
		"the same plural elsewhere": func(e map[string]any) { e["objectRef"].(map[string]any)["apiGroup"] = "metrics.k8s.io" },
		"an unfinished request":     func(e map[string]any) { e["stage"] = "RequestReceived" },
		"no object":                 func(e map[string]any) { delete(e, "objectRef") },
		"a change of what is not there": func(e map[string]any) {
			e["verb"] = "delete"
			refuse(e, 404, "NotFound", `pods "x" not found`)
			e["responseStatus"].(map[string]any)["details"] = map[string]any{"name": "x", "kind": "pods"}
		},
	}
	for name, edit := range cases {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, podCreate(edit)); len(got) != 0 {
				t.Errorf("gives %v", got)
			}
		})
	}
}

// FuzzParseAudit starts from the recordings that are shipped. Whatever a line holds, the parser must
// not panic, and what it returns must make a trail.
func FuzzParseAudit(f *testing.F) {
	for _, name := range []string{"refused", "unschedulable", "badimage", "quota"} {
		_, records, err := recorded.Load(filepath.Join("..", ".."), name)
		if err != nil {
			f.Fatal(err)
		}
		for _, record := range records {
			f.Add([]byte(record.Data))
			f.Add([]byte(record.Data[:len(record.Data)/2]))
		}
	}
	f.Add([]byte(`{"verb":"create","stage":"ResponseComplete","objectRef":{"resource":"pods"},"requestObject":[1],"responseObject":"x"}`))
	f.Add([]byte(`{"verb":"patch","stage":"Panic","objectRef":{"resource":"pods","subresource":"status"},"requestObject":{"status":{"conditions":[null]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		observations, err := source.ParseAudit(source.Record{Source: source.Audit, Data: data})
		if err != nil {
			return
		}
		for _, o := range observations {
			if o.Duration < 0 || o.Stage < trail.Submit || o.Stage > trail.Heal {
				t.Errorf("observation with stage %d and duration %s", o.Stage, o.Duration)
			}
		}
		trail.Build(observations)
	})
}
