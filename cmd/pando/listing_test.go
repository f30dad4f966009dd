package main

import (
	"net/url"
	"strconv"
	"testing"
)

func TestListingTakesPagesUntilItHasEnough(t *testing.T) {
	const total = 2500
	for name, tc := range map[string]struct {
		part     listing
		want     int
		requests int
		more     bool
	}{
		"less than a page":           {listing{limit: 100}, 100, 1, true},
		"several pages":              {listing{limit: 1500}, 1500, 2, true},
		"everything":                 {listing{limit: 0}, total, 3, false},
		"more than there is":         {listing{limit: 9999}, total, 3, false},
		"exactly what there is":      {listing{limit: total}, total, 3, false},
		"from a place in the middle": {listing{limit: 0, pageToken: "2400"}, 100, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			rows, next, err := collect(tc.part, queryOf(map[string]string{"state": "live", "issuer": ""}), func(page url.Values) ([]int, string, error) {
				requests++
				if page.Get("state") != "live" || page.Has("issuer") {
					t.Errorf("the filter is %v", page)
				}
				from, _ := strconv.Atoi(page.Get("page_token"))
				size, err := strconv.Atoi(page.Get("page_size"))
				if err != nil || size < 1 || size > 999 {
					t.Fatalf("page_size %q", page.Get("page_size"))
				}
				to := min(from+size, total)
				var rows []int
				for i := from; i < to; i++ {
					rows = append(rows, i)
				}
				if to == total {
					return rows, "", nil
				}
				return rows, strconv.Itoa(to), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) != tc.want || requests != tc.requests || (next != "") != tc.more {
				t.Errorf("%d rows in %d requests, next %q", len(rows), requests, next)
			}
			for i := range rows[1:] {
				if rows[i+1] != rows[i]+1 {
					t.Fatalf("row %d follows row %d", rows[i+1], rows[i])
				}
			}
		})
	}
	if _, _, err := collect(listing{limit: -1}, nil, func(url.Values) ([]int, string, error) { return nil, "", nil }); exitCode(err) != exitUsage {
		t.Errorf("a negative limit: %v", err)
	}
}

func TestObjectPathStaysInItsCollection(t *testing.T) {
	for id, want := range map[string]string{
		"ent_1": "v1/entries/ent_1", "a/b": "v1/entries/a%2Fb", "a?b#c": "v1/entries/a%3Fb%23c",
		"": "", ".": "", "..": "",
	} {
		got, err := objectPath(entriesPath, id)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("objectPath(%q) = %q, %v", id, got, err)
		}
	}
}
