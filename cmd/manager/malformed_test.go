// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"podtrail.dev/podtrail/webhooks"
)

// mostGrowth is how much more memory than before malformed requests may cost, in bytes.
const mostGrowth = 20 << 20

// answer is how a request was turned away: by an HTTP status, by an AdmissionReview with a code (its HTTP status is
// 200, as the API server expects it), or by the end of the connection.
type answer struct {
	status  int
	review  int32
	message string
	ended   string
}

// sender sends one malformed request to address and returns how it was answered.
type sender func(t *testing.T, address, path string) answer

// spaces never ends.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func reviewOf(request string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":` + request + `}`
}

// TestMalformedRequestsAreRefused sends to the server, the TLS and the handlers of the deployed manager what the API
// server never sends. Each is turned away with a reason, costs little memory, and the next good request is answered.
func TestMalformedRequestsAreRefused(t *testing.T) {
	address := startWebhookServer(t)
	const pods = `"kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"namespace":"demo"`
	badRequest := answer{status: 200, review: 400}
	cases := map[string]struct {
		send sender
		want answer
		// once: it does not depend on the path, or takes long.
		once bool
	}{
		"an empty body":                      {body(""), badRequest, false},
		"no JSON":                            {body("hello"), badRequest, false},
		"no text":                            {body("\xff\xfe\x00\x01"), badRequest, false},
		"a list":                             {body("[]"), badRequest, false},
		"null":                               {body("null"), badRequest, false},
		"JSON that is cut off":               {body(reviewOf(`{`)), badRequest, false},
		"an unknown version of the review":   {body(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v9","request":{}}`), badRequest, false},
		"another kind":                       {body(`{"kind":"Pod","apiVersion":"v1"}`), badRequest, false},
		"a review without a request":         {body(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`), badRequest, false},
		"a request that is a list":           {body(reviewOf(`[]`)), badRequest, false},
		"a uid that is a number":             {body(reviewOf(`{"uid":7}`)), badRequest, false},
		"JSON in JSON 200,000 times":         {body(reviewOf(`{"object":` + strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000) + `}`)), badRequest, false},
		"a request about another kind":       {body(reviewOf(`{"uid":"u","operation":"CREATE","kind":{"version":"v1","kind":"Secret"},"object":{}}`)), badRequest, false},
		"a request without the object":       {body(reviewOf(`{"uid":"u","operation":"CREATE",` + pods + `}`)), badRequest, false},
		"an object that is a number":         {body(reviewOf(`{"uid":"u","operation":"CREATE",` + pods + `,"object":7}`)), badRequest, false},
		"8 MB, announced":                    {raw(tls13, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 8388608\r\n\r\n"), answer{status: http.StatusRequestEntityTooLarge}, false},
		"8 MB, not announced":                {post("application/json", func() io.Reader { return io.LimitReader(spaces{}, 8<<20) }), answer{status: http.StatusLengthRequired}, false},
		"a stream without an end":            {post("application/json", func() io.Reader { return spaces{} }), answer{status: http.StatusLengthRequired}, false},
		"another content type":               {post("text/plain", text("{}")), answer{status: http.StatusUnsupportedMediaType}, false},
		"no content type":                    {post("", text("{}")), answer{status: http.StatusUnsupportedMediaType}, false},
		"GET":                                {method(http.MethodGet), answer{status: http.StatusMethodNotAllowed}, false},
		"PUT":                                {method(http.MethodPut), answer{status: http.StatusMethodNotAllowed}, false},
		"a path that nobody serves":          {elsewhere(body("{}")), answer{status: http.StatusNotFound}, true},
		"headers of 2 MB":                    {raw(tls13, "POST / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 2<<20)+"\r\n\r\n"), answer{status: http.StatusRequestHeaderFieldsTooLarge}, true},
		"no HTTP":                            {raw(tls13, "\x00\x01\x02\r\n\r\n"), answer{status: http.StatusBadRequest}, true},
		"a chunk of no length":               {raw(tls13, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), answer{status: http.StatusLengthRequired}, false},
		"two lengths of the body":            {raw(tls13, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), answer{status: http.StatusBadRequest}, true},
		"a sender that stops in the middle":  {raw(tls13, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"), badRequest, true},
		"HTTP/2 without having asked for it": {raw(tls13, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), answer{status: http.StatusBadRequest}, true},
		"HTTP/2 only":                        {raw(&tls.Config{NextProtos: []string{"h2"}}, ""), answer{ended: "no application protocol"}, true},
		"TLS 1.2":                            {raw(&tls.Config{MaxVersion: tls.VersionTLS12}, ""), answer{ended: "protocol version not supported"}, true},
		"no TLS":                             {raw(nil, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), answer{status: http.StatusBadRequest}, true},
		"a hundred streams without an end":   {flood(100), answer{status: http.StatusLengthRequired}, true},
	}
	if len(cases) < 20 {
		t.Fatalf("%d cases, want at least 20", len(cases))
	}
	growth := watchMemory(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			paths := slices.Collect(maps.Keys(handlers(t)))
			if tc.once {
				paths = []string{webhooks.PodValidatePath}
			}
			for _, path := range paths {
				got := tc.send(t, address, path)
				if got.review != 0 && got.message == "" {
					t.Errorf("%s: refused without a message", path)
				}
				got.message = ""
				if tc.want.ended != "" && strings.Contains(got.ended, tc.want.ended) {
					got.ended = tc.want.ended
				}
				if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("%s answered (-want +got):\n%s", path, diff)
				}
			}
		})
	}
	if got := growth(); got > mostGrowth {
		t.Errorf("the memory grew by %d MiB, want at most %d", got>>20, mostGrowth>>20)
	}
	good := body(reviewOf(`{"uid":"u","operation":"CREATE",` + pods + `,"object":{"spec":{"containers":[{"name":"app","resources":{"limits":{"cpu":"1"}}}]}}}`))
	if got := good(t, address, webhooks.PodValidatePath); got.review != http.StatusOK {
		t.Errorf("after all of this a good request was answered with %+v", got)
	}
}

var tls13 = &tls.Config{}

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

func body(s string) sender { return post("application/json", text(s)) }

func method(name string) sender {
	return func(t *testing.T, address, path string) answer {
		t.Helper()
		return do(t, request(t, name, address, path, "application/json", strings.NewReader("{}")))
	}
}

func post(contentType string, content func() io.Reader) sender {
	return func(t *testing.T, address, path string) answer {
		t.Helper()
		return do(t, request(t, http.MethodPost, address, path, contentType, content()))
	}
}

func elsewhere(send sender) sender {
	return func(t *testing.T, address, path string) answer {
		t.Helper()
		return send(t, address, path+"s")
	}
}

func request(t *testing.T, name, address, path, contentType string, content io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), name, "https://"+address+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	// Who answers on this port is known.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(r)
	if err != nil {
		return answer{ended: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) answer {
	t.Helper()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("reading the answer: %v", err)
	}
	got := answer{status: resp.StatusCode, message: string(content)}
	if resp.StatusCode == http.StatusOK {
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(content, &review); err != nil || review.Response == nil || review.Response.Result == nil {
			t.Fatalf("the answer is no AdmissionReview with a result (%v): %s", err, content)
		}
		got.review, got.message = review.Response.Result.Code, review.Response.Result.Message
	}
	return got
}

// raw writes what no HTTP client would, over TLS unless config is nil. PATH in it stands for the path.
func raw(config *tls.Config, content string) sender {
	return func(t *testing.T, address, path string) answer {
		t.Helper()
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if config != nil {
			config = config.Clone()
			config.InsecureSkipVerify = true
			conn = tls.Client(conn, config)
		}
		// The server may end the connection before it has read everything, and still have answered.
		_, writeErr := io.Copy(conn, strings.NewReader(strings.ReplaceAll(content, "PATH", path)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return answer{ended: fmt.Sprintf("%v, after writing: %v", err, writeErr)}
		}
		defer func() { _ = resp.Body.Close() }()
		return read(t, resp)
	}
}

// flood sends that many streams without an end, one after another, and returns the last answer.
func flood(times int) sender {
	return func(t *testing.T, address, path string) (last answer) {
		t.Helper()
		for range times {
			last = post("application/json", func() io.Reader { return io.MultiReader(bytes.NewReader([]byte(`{"`)), spaces{}) })(t, address, path)
		}
		return last
	}
}
