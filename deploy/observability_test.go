package deploy_test

import (
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
