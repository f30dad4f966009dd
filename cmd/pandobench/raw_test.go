package main

import (
	"testing"
	"time"
)

func TestRawLimitIsMeasured(t *testing.T) {
	requests, err := newRequests(4)
	if err != nil {
		t.Fatal(err)
	}
	rate, cpu, err := measureRaw(t.Context(), requests, 100*time.Millisecond)
	if err != nil || rate <= 0 || cpu <= 0 {
		t.Fatalf("raw limit is %v/s at %v s of CPU each: %v", rate, cpu, err)
	}
	t.Logf("%.0f/s, %.0f µs of CPU each", rate, cpu*1e6)
}
