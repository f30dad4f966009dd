package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// metricNames finds the metrics of Pando in a text. Parts of a histogram stand for it.
func metricNames(text string) map[string]bool {
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bpando_[a-z_]+`).FindAllString(text, -1) {
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		names[name] = true
	}
	return names
}

// What is alerted on and drawn is in docs/metrics.md, which a test of server/metrics holds
// against what is exported.
func TestRulesAndDashboardsUseMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := metricNames(string(page))
	var files []string
	for _, pattern := range []string{"prometheus/rules/*.yml", "grafana/dashboards/*.json"} {
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
				t.Errorf("%s uses %s, which docs/metrics.md does not know", file, name)
			}
		}
	}
}

func TestRulesAreComplete(t *testing.T) {
	text, err := os.ReadFile("prometheus/rules/pando.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if severity := rule.Labels["severity"]; severity != "warning" && severity != "critical" {
				t.Errorf("%s has the severity %q", rule.Alert, severity)
			}
			if rule.Expr == "" || rule.Annotations["summary"] == "" || seen[rule.Alert] {
				t.Errorf("%q has no expression, no summary, or its name is taken", rule.Alert)
			}
			seen[rule.Alert] = true
		}
	}
	if len(seen) == 0 {
		t.Error("there are no rules")
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
