package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// runbookBase is where the pages of docs/runbooks are read by whoever is paged; docs/alerts.md says
// how to change it.
const runbookBase = "https://github.com/pando-ca/pando/blob/main/docs/runbooks/"

// rule is an alert, or something that is recorded.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

// readAlerts reads the alerts of all rule files, by name.
func readAlerts(t *testing.T) map[string]rule {
	t.Helper()
	alerts := make(map[string]rule)
	for _, name := range globbed(t, "prometheus/rules/*.yml") {
		var file struct {
			Groups []struct{ Rules []rule }
		}
		readYAML(t, name, &file)
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if _, taken := alerts[r.Alert]; taken {
					t.Errorf("there are two alerts %s", r.Alert)
				}
				if r.Alert != "" {
					alerts[r.Alert] = r
				}
			}
		}
	}
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	return alerts
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files
}

func readYAML(t *testing.T, name string, to any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readText(t, name)), to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPrometheusAcceptsTheRules has Prometheus's own tool check the rules and run their tests.
func TestPrometheusAcceptsTheRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: run scripts/ensure-prometheus")
	}
	for what, files := range map[string][]string{
		"check": globbed(t, "prometheus/rules/*.yml"),
		"test":  globbed(t, "prometheus/tests/*.yml"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), promtool, append([]string{what, "rules"}, files...)...).CombinedOutput()
			if err != nil {
				t.Errorf("promtool %s rules: %v\n%s", what, err, out)
			}
		})
	}
}

// TestEveryAlertIsTried: for each there is a case in which it fires, and one in which it stays quiet
// all the time.
func TestEveryAlertIsTried(t *testing.T) {
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, name := range globbed(t, "prometheus/tests/*.yml") {
		var file struct {
			Tests []struct {
				Name   string
				Checks []struct {
					Alert  string `yaml:"alertname"`
					Alerts []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, name, &file)
		for _, test := range file.Tests {
			fired, asked := make(map[string]bool), make(map[string]bool)
			for _, check := range test.Checks {
				asked[check.Alert] = true
				fired[check.Alert] = fired[check.Alert] || len(check.Alerts) > 0
			}
			for alert := range asked {
				if !strings.Contains(test.Name, alert+" ") {
					t.Errorf("%s: %q asks about %s", name, test.Name, alert)
				}
				fires[alert] = fires[alert] || fired[alert]
				quiet[alert] = quiet[alert] || !fired[alert]
			}
		}
	}
	for alert := range readAlerts(t) {
		if !fires[alert] || !quiet[alert] {
			t.Errorf("%s: a case that fires: %t, one that stays quiet: %t", alert, fires[alert], quiet[alert])
		}
	}
}

// TestAlertsSayWhatToDo: each has a severity, texts, and a page of docs/runbooks that is about it, which
// both lists of pages lead to.
func TestAlertsSayWhatToDo(t *testing.T) {
	table, index := readText(t, "../docs/alerts.md"), readText(t, "../docs/runbooks/README.md")
	for name, r := range readAlerts(t) {
		if !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", name)
		}
		page, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbookBase)
		if !ok {
			t.Errorf("%s has the runbook %q", name, r.Annotations["runbook_url"])
			continue
		}
		if text := readText(t, filepath.Join("../docs/runbooks", page)); !strings.Contains(text, name) {
			t.Errorf("%s is not about %s", page, name)
		}
		if !hasRow(table, name, r.Labels["severity"], "(runbooks/"+page+")") {
			t.Errorf("docs/alerts.md has no row with %s, %s and %s", name, r.Labels["severity"], page)
		}
		if !hasRow(index, name, "("+page+")") {
			t.Errorf("docs/runbooks/README.md has no row that leads from %s to %s", name, page)
		}
	}
}

// hasRow reports whether one row of a table holds all of these.
func hasRow(page string, parts ...string) bool {
	for row := range strings.Lines(page) {
		if strings.HasPrefix(row, "|") && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(row, part) }) {
			return true
		}
	}
	return false
}

// TestTablesNameAlertsThatExist: nobody looks for an alert that is gone.
func TestTablesNameAlertsThatExist(t *testing.T) {
	alerts := readAlerts(t)
	for _, page := range append(globbed(t, "../docs/runbooks/*.md"), "../docs/alerts.md") {
		for _, name := range regexp.MustCompile(`\b(Pando|TLS|Plaintext|Emergency)[A-Z][A-Za-z]+\b`).FindAllString(readText(t, page), -1) {
			if _, ok := alerts[name]; !ok {
				t.Errorf("%s names the alert %s, which there is not", page, name)
			}
		}
	}
}

// TestRunbooksAreComplete: whoever is paged finds the same on each page that an alert leads to.
func TestRunbooksAreComplete(t *testing.T) {
	pages := make(map[string]bool)
	for _, r := range readAlerts(t) {
		pages[strings.TrimPrefix(r.Annotations["runbook_url"], runbookBase)] = true
	}
	for page := range pages {
		text := readText(t, filepath.Join("../docs/runbooks", page))
		at := 0
		for _, part := range []string{"**Meaning.**", "**Impact.**", "## Check\n\n```sh\n", "## Do\n", "**When it is over.**"} {
			next := strings.Index(text[at:], part)
			if next < 0 {
				t.Errorf("%s has no %q after what is to come before", page, part)
				break
			}
			at += next + len(part)
		}
		_, checks, _ := strings.Cut(text, "## Check\n\n```sh\n")
		checks, _, _ = strings.Cut(checks, "```")
		if n := strings.Count(checks, "\n"); n < 3 {
			t.Errorf("%s has %d checks, want three", page, n)
		}
	}
}
