// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"encoding/pem"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBundle(t *testing.T) {
	// Each CA is made at its time and ends ten years later, so that one of 2015 has ended in 2026.
	made := map[string][]byte{}
	name := map[string]string{}
	for label, at := range map[string]time.Time{
		"now": begin, "an hour ago": begin.Add(-overlap), "last year": begin.AddDate(-1, 0, 0), "2015": begin.AddDate(-11, 0, 0),
	} {
		data, err := newIssuer("hook.ns.svc").issue(nil, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		made[label] = data[caCertKey]
		name[string(data[caCertKey])] = label
	}
	join := func(labels ...string) (text []byte) {
		for _, label := range labels {
			text = append(text, made[label]...)
		}
		return text
	}
	var crowd []byte
	for range maxPrevious + 3 {
		crowd = append(crowd, made["last year"]...)
	}
	cases := map[string]struct {
		existing []byte
		current  string
		want     []string
	}{
		"the first one":                       {nil, "now", []string{"now"}},
		"a new one beside the old one":        {join("last year"), "now", []string{"now", "last year"}},
		"nothing twice":                       {join("now", "last year"), "now", []string{"now", "last year"}},
		"the old one goes after the overlap":  {join("an hour ago", "last year"), "an hour ago", []string{"an hour ago"}},
		"what has ended goes":                 {join("now", "2015", "last year"), "now", []string{"now", "last year"}},
		"what is no certificate goes":         {append([]byte("garbage\n"), join("last year")...), "now", []string{"now", "last year"}},
		"a current one that somebody removed": {join("last year"), "an hour ago", []string{"an hour ago"}},
	}
	for label, tc := range cases {
		t.Run(label, func(t *testing.T) {
			block, _ := pem.Decode(made[tc.current])
			var got []string
			for _, certificate := range certificates(bundle(tc.existing, block.Bytes, begin)) {
				got = append(got, name[string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))])
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("trusted (-want +got):\n%s", diff)
			}
		})
	}
	block, _ := pem.Decode(made["now"])
	if got := len(certificates(bundle(crowd, block.Bytes, begin))); got != maxPrevious+1 {
		t.Errorf("%d CAs are trusted, want at most %d", got, maxPrevious+1)
	}
}
