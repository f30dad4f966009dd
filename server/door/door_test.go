package door

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
)

func TestHost(t *testing.T) {
	tests := map[string]string{
		"192.0.2.1:443":        "192.0.2.1",
		"[2001:db8::1]:443":    "2001:db8::1",
		"[fe80::1%eth0]:50000": "fe80::1%eth0",
		"pipe":                 "pipe",
		"":                     "",
	}
	for address, want := range tests {
		if got := Host(address); got != want {
			t.Errorf("Host(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	now := time.Now()
	if a, b := Begin("", now), Begin("", now); a.ID == b.ID || !validRequestID(a.ID) {
		t.Errorf("two requests are called %q and %q", a.ID, b.ID)
	}
}

func TestFailure(t *testing.T) {
	tests := map[string]struct {
		err  error
		kind server.Kind
		code string
	}{
		"an error that nobody knows":       {errors.New("disk on fire"), server.KindInternal, "internal"},
		"a deadline":                       {fmt.Errorf("wait: %w", context.DeadlineExceeded), server.KindUnavailable, "unavailable"},
		"a caller that left":               {fmt.Errorf("wait: %w", context.Canceled), server.KindUnavailable, "unavailable"},
		"a refusal":                        {&server.Error{Kind: server.KindConflict, Code: "conflict"}, server.KindConflict, "conflict"},
		"credentials that were refused":    {&auth.Error{Reason: auth.ReasonCertificate}, server.KindUnauthenticated, "unauthenticated"},
		"a refusal behind the credentials": {&auth.Error{Reason: auth.ReasonCertificate, Err: &server.Error{Kind: server.KindNotFound}}, server.KindUnauthenticated, "unauthenticated"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Failure(test.err)
			if got.Kind != test.kind || got.Code != test.code {
				t.Errorf("Failure(%v) = %v", test.err, got)
			}
		})
	}
	if Failure(nil) != nil {
		t.Error("no error is a failure")
	}
}
