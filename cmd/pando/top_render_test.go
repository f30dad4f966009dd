package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// topNoon is when the tests watch. The clock of the server is an hour ahead.
var topNoon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// busyOverview is a deployment in which everything happens at once.
func busyOverview() *overviewJSON {
	at := topNoon.Add(time.Hour)
	left := int32(188)
	return &overviewJSON{
		At: at, Replica: "pando-0/1/ABCDEFGH", Leader: true, TrustDomain: "example.org", Generation: 12, Sequence: 7, Issuer: "5a1c0d2e3f405162", Issued: 48_211,
		Roles: []roleOverviewJSON{
			{Role: "root", Phase: "spreading", EnteredAt: at.Add(-20 * time.Minute), EndsAt: at.Add(50 * time.Minute), DueAt: at.Add(50 * time.Minute)},
			{Role: "intermediate", Phase: "replacing", EnteredAt: at.Add(-time.Hour), EndsAt: at.Add(-2 * time.Minute), DueAt: at.Add(40 * day)},
		},
		Authorities: []authorityOverviewJSON{
			{ID: "212518bcd2f9bfef", Role: "root", State: "active", NotBefore: at.Add(-365 * day), NotAfter: at.Add(730 * day), Waiting: "its successor 4dbe9dc1c5a67333 is prepared"},
			{ID: "6af1d9e8ba7906bf", Role: "intermediate", State: "tainted", ParentID: "212518bcd2f9bfef", NotBefore: at.Add(-60 * day), NotAfter: at.Add(120 * day), Live: 188,
				Waiting: "waiting: 188 live certificates are left under it; it waits to be revoked"},
			{ID: "5a1c0d2e3f405162", Role: "intermediate", State: "active", ParentID: "212518bcd2f9bfef", NotBefore: at.Add(-time.Hour), NotAfter: at.Add(180 * day)},
			{ID: "4dbe9dc1c5a67333", Role: "root", State: "prepared", NotBefore: at, NotAfter: at.Add(1095 * day), Followers: 10_000, Behind: 188,
				Waiting: "waiting: 9812 of 10000 followers have acknowledged sequence 7; opens by time at 2026-03-01T13:50:00Z"},
			{ID: "0011223344556677", Role: "intermediate", State: "retired", NotBefore: at.Add(-300 * day), NotAfter: at.Add(-time.Second)},
		},
		CountedAt: at.Add(-12 * time.Second), Live: 10_188, Recent: 341,
		Profiles: []profileOverviewJSON{
			{Profile: "server", Live: 40, Earliest: at.Add(20 * day)},
			{Profile: "workload", Live: 9_958, Overdue: 2, Expired: 1, Revoked: 3, Earliest: at.Add(90 * time.Second)},
		},
		Incidents: []incidentOverviewJSON{
			{ID: "GC7BVYMB36FPVJMS", StartsAt: at.Add(-time.Hour), Deadline: at.Add(3 * time.Minute), Rate: 12.5, Total: 10_000, Left: &left},
			{ID: "JBSWY3DPEHPK3PXP", StartsAt: at, Deadline: at.Add(-time.Minute), Rate: 1, Total: 5},
		},
		Overrides:  []effectiveOverrideJSON{{ID: "ovr_5kq2", Pattern: "/ns/prod/**", Side: "listen", ExpiresAt: at.Add(20 * time.Minute), Reason: "a partner without certificates"}},
		Failing:    []jobJSON{{Name: "crls", LastError: "database unavailable"}},
		LastBackup: at.Add(-3 * time.Hour),
		Audit: []auditJSON{
			{Seq: 9, At: at.Add(-time.Hour), Actor: "spiffe://example.org/pando/admin/ann", Action: "authority.taint", Target: "6af1d9e8ba7906bf", Detail: map[string]string{"reason": "the key was on a laptop"}},
			{Seq: 8, At: at.Add(-3 * day), Actor: "spiffe://example.org/pando/admin/ann", Action: "entry.create", Target: "ent_1f0b3c7d9a2e4f6081b3c5d7", Detail: map[string]string{"spiffe_id": "spiffe://example.org/web"}},
		},
	}
}

// hostileOverview is one whose every text tries to draw on the terminal, or is wider than it looks.
func hostileOverview() *overviewJSON {
	const evil = "\x1b[2J\x1b]0;owned\a\r\n\u202egro\u009b31m\x00 名前 e\u0301"
	o := busyOverview()
	o.Replica, o.TrustDomain, o.Issuer = evil, evil, evil
	for i := range o.Roles {
		o.Roles[i].Role, o.Roles[i].Phase = evil, evil
	}
	for i := range o.Authorities {
		a := &o.Authorities[i]
		a.ID, a.Role, a.State, a.Waiting = evil, evil, evil, evil
	}
	o.Profiles[0].Profile, o.Incidents[0].ID, o.Failing[0].Name, o.Failing[0].LastError = evil, evil, evil, evil
	o.Overrides[0].ID, o.Overrides[0].Pattern, o.Overrides[0].Name, o.Overrides[0].Reason = evil, evil, evil, evil
	for i := range o.Audit {
		a := &o.Audit[i]
		a.Actor, a.Action, a.Target, a.Detail = evil, evil, evil, map[string]string{"reason": evil}
	}
	return o
}

func watched(o *overviewJSON) topState {
	s := topState{server: "https://pando.example.org:8443", every: topInterval}
	if o != nil {
		s.take(o, topNoon)
	}
	return s
}

// TestTopScreens compares whole screens.
func TestTopScreens(t *testing.T) {
	calm := busyOverview()
	calm.Incidents, calm.Overrides, calm.Failing = nil, nil, nil
	uncounted := busyOverview()
	uncounted.CountedAt, uncounted.Profiles, uncounted.Roles, uncounted.Authorities, uncounted.Audit = time.Time{}, nil, nil, nil, nil
	for name, tt := range map[string]struct {
		overview *overviewJSON
		failure  string
		window   topWindow
		later    time.Duration
	}{
		"a small terminal":           {overview: busyOverview(), window: topWindow{width: 80, height: 24}},
		"a large terminal":           {overview: busyOverview(), window: topWindow{width: 200, height: 50}},
		"a calm day":                 {overview: calm, window: topWindow{width: 120, height: 40}},
		"scrolled to the end":        {overview: busyOverview(), window: topWindow{width: 80, height: 24, down: 1000}},
		"scrolled to the right":      {overview: busyOverview(), window: topWindow{width: 80, height: 24, down: 21, right: 48}},
		"nobody has counted":         {overview: uncounted, window: topWindow{width: 80, height: 16}},
		"a server that went away":    {overview: busyOverview(), failure: "connection refused", window: topWindow{width: 80, height: 24}, later: 14 * time.Second},
		"a server that says nothing": {overview: busyOverview(), window: topWindow{width: 80, height: 24}, later: 6 * time.Second},
		"a server that is away":      {failure: "connection refused", window: topWindow{width: 80, height: 8}},
		"before the first answer":    {window: topWindow{width: 80, height: 8}},
		"texts that would draw":      {overview: hostileOverview(), window: topWindow{width: 160, height: 60}},
		"too narrow":                 {overview: busyOverview(), window: topWindow{width: 39, height: 24}},
	} {
		t.Run(name, func(t *testing.T) {
			s := watched(tt.overview)
			if tt.failure != "" {
				s.fail(errors.New(tt.failure))
			}
			var text strings.Builder
			for _, l := range renderTop(&s, tt.window, topNoon.Add(tt.later)) {
				text.WriteString(l.plain() + "\n")
			}
			file := filepath.Join("testdata", "top", strings.ReplaceAll(name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text.String()); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTopFitsEveryWindow: no screen is larger than its window, or holds what a terminal acts upon.
func TestTopFitsEveryWindow(t *testing.T) {
	for _, o := range []*overviewJSON{nil, {}, busyOverview(), hostileOverview()} {
		s := watched(o)
		for width := range 130 {
			for _, height := range []int{0, 1, 7, 8, 9, 24, 70} {
				for _, right := range []int{-8, 0, 3, 40, 10_000} {
					w := topWindow{width: width, height: height, down: right, right: right}
					checkFits(t, renderTop(&s, w, topNoon), w)
				}
			}
		}
	}
}

func checkFits(t *testing.T, lines []line, w topWindow) {
	t.Helper()
	if len(lines) > w.height || len(lines) < w.height && w.width >= leastTopWidth && w.height >= leastTopHeight {
		t.Fatalf("%+v: %d lines", w, len(lines))
	}
	for _, l := range lines {
		text := l.plain()
		if got := uniseg.StringWidth(text); got > w.width {
			t.Fatalf("%+v: %d columns: %q", w, got, text)
		}
		for _, r := range text {
			if !unicode.IsPrint(r) {
				t.Fatalf("%+v: %q holds %U", w, text, r)
			}
		}
	}
}

// TestTopRate: the rate is that of one process, over half a minute at most.
func TestTopRate(t *testing.T) {
	type seen struct {
		replica string
		second  int
		issued  uint64
	}
	for name, tt := range map[string]struct {
		seen []seen
		want float64
		ok   bool
	}{
		"one answer":                  {seen: []seen{{"a", 0, 5}}},
		"two answers":                 {seen: []seen{{"a", 0, 5}, {"a", 2, 11}}, want: 3, ok: true},
		"what was long ago":           {seen: []seen{{"a", 0, 0}, {"a", 30, 9000}, {"a", 60, 9060}}, want: 2, ok: true},
		"a gust within half a minute": {seen: []seen{{"a", 0, 0}, {"a", 2, 0}, {"a", 20, 40}}, want: 2, ok: true},
		"another replica":             {seen: []seen{{"a", 0, 5}, {"b", 2, 11}}},
		"a replica that started":      {seen: []seen{{"a", 0, 5}, {"a", 2, 1}}},
		"a clock that was set back":   {seen: []seen{{"a", 9, 5}, {"a", 2, 9}}},
		"and on from there":           {seen: []seen{{"a", 9, 5}, {"b", 2, 9}, {"b", 4, 10}}, want: 0.5, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			var s topState
			for _, a := range tt.seen {
				s.take(&overviewJSON{Replica: a.replica, At: topNoon.Add(time.Duration(a.second) * time.Second), Issued: a.issued}, topNoon)
			}
			if got, ok := s.rate(); got != tt.want || ok != tt.ok {
				t.Errorf("%v, %t, want %v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}
