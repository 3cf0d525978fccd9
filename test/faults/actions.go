// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// drop loses the request: the API server never sees it.
func drop(*Proxy, http.ResponseWriter, *http.Request) bool { return false }

// commitThenReset loses the answer: the API server has done what it was asked.
func commitThenReset(p *Proxy, _ http.ResponseWriter, r *http.Request) bool {
	if resp, err := p.send(r); err == nil {
		_ = resp.Body.Close()
	}
	return false
}

// commitThenTimeout lets the API server do what it was asked and answers that it took too long.
func commitThenTimeout(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
	if resp, err := p.send(r); err == nil {
		_ = resp.Body.Close()
	}
	return refuse(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0)(p, w, r)
}

// delay passes the request on late.
func delay(by time.Duration) Action {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
		pause(r.Context(), by)
		return passOn(p, w, r)
	}
}

// pause waits, unless the request is given up first.
func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-time.After(duration):
	case <-ctx.Done():
	}
}

// refuse answers in the API server's place.
func refuse(code int32, reason metav1.StatusReason, retryAfter int32) Action {
	return func(_ *Proxy, w http.ResponseWriter, _ *http.Request) bool {
		status := metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: "injected: " + string(reason),
		}
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter)))
			status.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfter}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(code))
		return json.NewEncoder(w).Encode(status) == nil
	}
}

// cutWatch ends a watch after some frames.
func cutWatch(after int) Action {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
		seen := 0
		return p.relay(w, r, func(frame []byte) ([]byte, bool) {
			seen++
			return frame, seen <= after
		})
	}
}

// stallWatch holds every frame back for a while, one after the other.
func stallWatch(by time.Duration) Action {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
		return p.relay(w, r, func(frame []byte) ([]byte, bool) {
			pause(r.Context(), by)
			return frame, true
		})
	}
}

// loseFor is for how long a watch that has lost an event goes on.
const loseFor = time.Second

// loseEvent loses the third frame of a watch, which no real watch does, and ends the watch a while later in such a way
// that the resource is listed again.
func loseEvent(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
	seen := 0
	return p.relay(w, r, func(frame []byte) ([]byte, bool) {
		if seen++; seen != 3 {
			return frame, true
		}
		time.AfterFunc(loseFor, func() {
			p.expireNext(classify(r).Resource)
			p.CutWatches()
		})
		return nil, true
	})
}

// expire answers that the resourceVersion that a watch wants to start from is too old.
func expire(p *Proxy, w http.ResponseWriter, r *http.Request) bool {
	return refuse(http.StatusGone, metav1.StatusReasonExpired, 0)(p, w, r)
}

// relayWatch passes frames back until the watch ends or is cut. It reports false if it was cut.
func relayWatch(w http.ResponseWriter, resp *http.Response, cutting <-chan struct{}, change frameFunc) bool {
	ended := make(chan struct{})
	defer close(ended)
	// The client may look at the answer before there is a frame.
	wasCut := make(chan struct{})
	go func() {
		select {
		case <-cutting:
			close(wasCut)
			// This makes the read below end.
			_ = resp.Body.Close()
		case <-ended:
		}
	}()
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	read := frameReader(resp)
	for {
		frame, err := read()
		if err != nil {
			break
		}
		frame, goOn := change(frame)
		if !goOn {
			return false
		}
		if frame == nil {
			continue
		}
		if _, err := w.Write(frame); err != nil {
			break
		}
		if flush.Flush() != nil {
			break
		}
	}
	select {
	case <-wasCut:
		return false
	default:
		return true
	}
}

// frameReader reads one watch event at a time: a line of JSON, or a length and that many bytes of protobuf.
func frameReader(resp *http.Response) func() ([]byte, error) {
	reader := bufio.NewReader(resp.Body)
	if !strings.Contains(resp.Header.Get("Content-Type"), "protobuf") {
		return func() ([]byte, error) { return reader.ReadBytes('\n') }
	}
	return func() ([]byte, error) {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return nil, err
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		_, err := io.ReadFull(reader, frame[4:])
		return frame, err
	}
}
