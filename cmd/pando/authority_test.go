package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/pando-ca/pando/api/v1"
)

// The structs for authorities and jobs must have the fields of the API's messages, all of them
// and no others, and must write the API's examples as they are.
func TestWireShapesOfTheRotationAreThoseOfTheAPI(t *testing.T) {
	for name, tc := range map[string]struct {
		ours    any // a pointer
		theirs  proto.Message
		example string
	}{
		"an authority": {&authorityJSON{}, &apiv1.Authority{}, "authority.json"},
		"authorities":  {&authorityListJSON{}, &apiv1.ListAuthoritiesResponse{}, "authorities-list.json"},
		"a job":        {&jobJSON{}, &apiv1.Job{}, "job.json"},
		"jobs":         {&jobListJSON{}, &apiv1.ListJobsResponse{}, "schedule.json"},
	} {
		t.Run(name, func(t *testing.T) {
			var ours, theirs []string
			for field := range reflect.TypeOf(tc.ours).Elem().Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				ours = append(ours, name)
			}
			fields := tc.theirs.ProtoReflect().Descriptor().Fields()
			for i := range fields.Len() {
				theirs = append(theirs, string(fields.Get(i).Name()))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("(-api +ours)\n%s", diff)
			}
			want := decodeExample(t, tc.example, tc.ours)
			var got bytes.Buffer
			if err := (result{value: tc.ours}).write(&got, formJSON); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tc.example, diff)
			}
		})
	}
}

// decodeExample decodes an example of the API and returns its text.
func decodeExample(t *testing.T, name string, out any) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "api", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAuthorityCountsAreShownWhereSomebodyCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		authority       authorityJSON
		live, followers string
	}{
		"an active one has none":              {authorityJSON{State: "active"}, "", ""},
		"a retiring one waits for some":       {authorityJSON{State: "retiring", Live: 12}, "12", ""},
		"a retiring one waits for none":       {authorityJSON{State: "retiring"}, "0", ""},
		"a prepared one is acknowledged":      {authorityJSON{State: "prepared", Followers: 10000, Behind: 188}, "", "9812/10000"},
		"a prepared one that nobody follows":  {authorityJSON{State: "prepared"}, "", "0/0"},
		"a count of the server's is not lost": {authorityJSON{State: "active", Live: 3, Followers: 2}, "3", "2/2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.authority.liveText(); got != tc.live {
				t.Errorf("live is %q, want %q", got, tc.live)
			}
			if got := tc.authority.followersText(); got != tc.followers {
				t.Errorf("followers are %q, want %q", got, tc.followers)
			}
		})
	}
}

// A rotation in progress, as a table: what a test with a real server would wait a third of a
// root's life for.
func TestAuthoritiesAsATable(t *testing.T) {
	var list authorityListJSON
	decodeExample(t, "authorities-list.json", &list)
	list.Authorities[0].Waiting += "\x1b[2J"
	var got bytes.Buffer
	now := time.Date(2026, 11, 22, 14, 12, 0, 0, time.UTC)
	if err := authoritiesResult(list, now).write(&got, formTable); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(got.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"ROLE ID STATE SINCE NOT AFTER LIVE FOLLOWERS OPENS WAITING",
		"root 8052de7c88641a6b prepared 2026-11-22T14:02:00Z (10m ago) 2029-11-21T12:14:24Z (in 2y) 9812/10000 2026-11-22T14:32:00Z (in 20m) " +
			`waiting: 9812 of 10000 followers have acknowledged sequence 7; opens by time at 14:32\x1b[2J`,
		"intermediate 20ceb7e73352794c active 2026-11-22T14:02:00Z (10m ago) 2027-05-21T12:14:24Z (in 179d) 10000",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
