package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// metricNames finds the metrics of Pando in a text. Parts of a histogram stand for it; what a rule
// records has a colon in its name, and is no metric.
func metricNames(text string) map[string]bool {
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bpando_[a-z0-9_:]+`).FindAllString(text, -1) {
		if strings.Contains(name, ":") {
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		names[name] = true
	}
	return names
}

// documentedMetrics is what the tables of the documentation list. A test of server/metrics holds
// docs/metrics.md against what is exported, and each other page has one of its own.
func documentedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%v, %v", pages, err)
	}
	known := make(map[string]bool)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `pando_.*$").FindAllString(string(text), -1) {
			maps.Copy(known, metricNames(row))
		}
	}
	return known
}

// What is alerted on and drawn is in the tables of the documentation.
func TestRulesAndDashboardsUseMetricsThatExist(t *testing.T) {
	known := documentedMetrics(t)
	var files []string
	for _, pattern := range []string{"prometheus/rules/*.yml", "prometheus/tests/*.yml", "grafana/dashboards/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used := metricNames(string(text))
		if len(used) == 0 {
			t.Errorf("%s uses no metric", file)
		}
		for name := range used {
			if !known[name] {
				t.Errorf("%s uses %s, which no table of the documentation lists", file, name)
			}
		}
	}
}

// A dashboard that Grafana provisions needs a title and an identifier of its own, and panels
// that read from the data source that is chosen.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID, Title string
			Panels     []struct {
				ID      int
				Type    string
				Title   string
				Targets []struct {
					Expr       string
					Datasource struct{ UID string }
				}
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if board.UID == "" || board.Title == "" {
			t.Errorf("%s has no title or no identifier", file)
		}
		ids := make(map[int]bool)
		for _, panel := range board.Panels {
			if ids[panel.ID] {
				t.Errorf("%s: panel %q has the number of another one", file, panel.Title)
			}
			ids[panel.ID] = true
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Errorf("%s: panel %q shows nothing", file, panel.Title)
			}
			for _, target := range panel.Targets {
				if target.Expr == "" || target.Datasource.UID != "${datasource}" {
					t.Errorf("%s: panel %q asks for %q from %q", file, panel.Title, target.Expr, target.Datasource.UID)
				}
			}
		}
	}
}
