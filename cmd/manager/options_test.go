// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	cases := map[string]struct {
		args    []string
		image   string
		wantErr []string
		check   func(options) bool
	}{
		"defaults, the image from the environment": {
			image: "img",
			check: func(o options) bool {
				return o.sidecarImage == "img" && o.kubeAPIQPS == -1 && o.leaderElect && o.namespace == "podtrail-system" && o.logging.Level == nil && !o.logging.Development
			},
		},
		"the flag beats the environment": {
			image: "img", args: []string{"--sidecar-image=other"},
			check: func(o options) bool { return o.sidecarImage == "other" },
		},
		"the plans of reconciles are logged at level 2": {
			image: "img", args: []string{"--zap-log-level=2"},
			check: func(o options) bool { return o.logging.Level.Enabled(-2) && !o.logging.Level.Enabled(-3) },
		},
		"no image":             {wantErr: []string{"--sidecar-image is empty: set it, or the environment variable SIDECAR_IMAGE"}},
		"all errors at once":   {args: []string{"--max-concurrent-reconciles=0", "--webhook-port=0", "--scheduler-name=", "--reconcile-records-bytes=-1"}, wantErr: []string{"--sidecar-image", "--max-concurrent-reconciles is 0", "--webhook-port is 0", "--scheduler-name", "--reconcile-records-bytes is -1"}},
		"an unknown flag":      {image: "img", args: []string{"--nope"}, wantErr: []string{"unknown flag: --nope"}},
		"an argument":          {image: "img", args: []string{"run"}, wantErr: []string{`unknown argument "run"`}},
		"not a number":         {image: "img", args: []string{"--kube-api-qps=fast"}, wantErr: []string{"--kube-api-qps"}},
		"a level that is none": {image: "img", args: []string{"--zap-log-level=loud"}, wantErr: []string{"--zap-log-level"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SIDECAR_IMAGE", tc.image)
			t.Setenv("POD_NAMESPACE", "")
			o, err := parseOptions(tc.args)
			if len(tc.wantErr) == 0 {
				if err != nil || !tc.check(o) {
					t.Errorf("options are %+v, error %v", o, err)
				}
				return
			}
			if !errors.Is(err, errUsage) {
				t.Fatalf("error is %v, want one about wrong use", err)
			}
			for _, want := range tc.wantErr {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestTLSIsHardened(t *testing.T) {
	c := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	hardenTLS(c)
	if c.MinVersion != tls.VersionTLS13 || len(c.NextProtos) != 1 || c.NextProtos[0] != "http/1.1" {
		t.Errorf("TLS from version %x with protocols %v", c.MinVersion, c.NextProtos)
	}
}
