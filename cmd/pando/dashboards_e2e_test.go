package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// dashboardsLimit is by when there has to be data: a root is replaced in half a minute on a machine
// that is idle.
const dashboardsLimit = 4 * time.Minute

// quietAlerts are those that the demo fleet need not make fire, and why: they stay quiet in a fleet that
// is well. That they are not about something that is not there is seen from what they select.
func quietAlerts() map[string]string {
	const (
		servers  = "the servers are up, have their key and their database, and little to do"
		steps    = "each step of the rotation is made in time"
		jobs     = "the jobs run"
		programs = "the programs renew, and follow"
	)
	return map[string]string{
		"PandoDown": servers, "PandoExpiryMetricMissing": servers, "PandoSignErrors": servers, "PandoSignerErrors": servers,
		"PandoSignSlow": servers, "PandoRequestsShed": servers, "PandoNoSchedulerLeader": servers,
		"PandoRotationOverdue": steps, "PandoRotationStuck": steps, "PandoIssuerCannotCoverLeaf": steps, "PandoIncidentLate": steps,
		"PandoSchedulerStalled": jobs, "PandoCRLStale": jobs, "PandoBackupStale": jobs,
		"PandoClientRenewalFailing": programs, "PandoCertificateExpiringSoon": programs, "PandoClientCertificateExpiring": programs,
		"PandoAgentFilesExpiring": programs, "PandoBundleLagging": programs,
	}
}

// emptySelectors are those of which there is nothing in the demo fleet, and why. There is something of
// the metric, though, and each of their labels is one that it has.
func emptySelectors() map[string]string {
	return map[string]string{
		`code=~"internal|unavailable"`: "the database is there all the time",
	}
}

// TestDashboardsHaveData has a real Prometheus scrape two replicas, programs and an agent to which
// everything happens that is drawn or alerted on, and asks it what the panels and the rules ask.
// A slip in the name of a metric or of a label leaves a query without data.
func TestDashboardsHaveData(t *testing.T) {
	f := newDemoFleet(t)
	p := startPrometheus(t, f.targets())
	f.start(t)
	f.happen(t)

	open := questions(t)
	t.Logf("%d queries", len(open))
	for deadline := p.started.Add(dashboardsLimit); ; {
		maps.DeleteFunc(open, func(_ string, q question) bool { return q.answered(p) == nil })
		if len(open) == 0 {
			break
		}
		if time.Now().After(deadline) {
			for _, name := range slices.Sorted(maps.Keys(open)) {
				t.Errorf("%s: %v", name, open[name].answered(p))
			}
			return
		}
		time.Sleep(time.Second) // Prometheus scrapes each second
	}
	if slip := (question{expr: "pando_identitys"}); slip.answered(p) == nil {
		t.Error("there is data of a metric that there is not")
	}
	t.Logf("all have data %s after the first scrape", time.Since(p.started).Round(time.Second))
}

// question is a query that there has to be an answer to.
type question struct {
	expr    string
	instant bool   // as the query of a table
	label   string // not empty: the values of this label, as a variable of a dashboard
}

// answered tells why there is no data.
func (q question) answered(p *prometheusServer) error {
	if q.label != "" {
		values, err := p.labelValues(q.expr, q.label)
		if err == nil && len(values) == 0 {
			err = fmt.Errorf("%s has no %s", q.expr, q.label)
		}
		return err
	}
	ask := p.over
	if q.instant {
		ask = p.instant
	}
	found, err := ask(q.expr)
	if err == nil && !drawable(found) {
		err = fmt.Errorf("no data for %s", q.expr)
	}
	return err
}

// comparison is what takes away what is well. With the word bool behind it, it tells true from false
// instead: then there is data unless labels that are to meet do not.
var comparison = regexp.MustCompile(` (==|!=|<=|>=|<|>) `)

// questions is all that dashboards and rules ask, by where it is asked.
func questions(t *testing.T) map[string]question {
	t.Helper()
	asked := make(map[string]question)
	ask := func(where string, q question) {
		asked[where] = q
		if q.label == "" {
			maps.Copy(asked, selectors(where, q.expr))
		}
	}
	for file, b := range readBoards(t) {
		for _, v := range b.Templating.List {
			if v.Type == "query" {
				ask(file+": variable "+v.Name, variable(t, v.Query))
			}
		}
		for _, panel := range b.Panels {
			for i, target := range panel.Targets {
				ask(fmt.Sprintf("%s: %s: query %d", file, panel.Title, i+1), question{expr: filled(target.Expr), instant: target.Instant})
			}
			if len(panel.Panels) > 0 {
				t.Errorf("%s: %s is folded, and nobody asks what is in it", file, panel.Title)
			}
		}
	}
	quiet := quietAlerts()
	for _, r := range readRules(t) {
		switch {
		case r.Record != "":
			ask("record "+r.Record, question{expr: r.Expr})
			asked["recorded "+r.Record] = question{expr: r.Record}
		case quiet[r.Alert] != "":
			maps.Copy(asked, selectors("alert "+r.Alert, r.Expr))
			if !strings.HasPrefix(r.Expr, "absent(") {
				asked["alert "+r.Alert+": compares"] = question{expr: comparison.ReplaceAllString(r.Expr, " $1 bool ")}
			}
		default:
			ask("alert "+r.Alert, question{expr: r.Expr})
		}
		delete(quiet, r.Alert)
	}
	for name := range quiet {
		t.Errorf("there is no alert %s", name)
	}
	return asked
}

// filled is an expression with the variables of a dashboard filled in as Grafana does.
func filled(expr string) string {
	return strings.NewReplacer(
		"$__rate_interval", "10s", "$__range_s", "120", "$__range", "120s",
		"$job", "pando", "$program", "web|asks|agent", "$trust_domain", "example.org",
	).Replace(expr)
}

// variable is the question of a variable, label_values(selector, label).
func variable(t *testing.T, query json.RawMessage) question {
	t.Helper()
	var q struct{ Query string }
	if err := json.Unmarshal(query, &q); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	parts := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(q.Query)
	if parts == nil {
		t.Fatalf("%s is no variable that is known here", q.Query)
	}
	return question{expr: filled(parts[1]), label: parts[2]}
}

// selectors is the metrics that an expression reads, one by one, so that those are found that an
// "or vector(0)" hides, and those in alerts that do not fire. A selector that matches nothing in
// the demo fleet is asked for without the matcher, and for its label.
func selectors(where, expr string) map[string]question {
	asked := make(map[string]question)
	for _, s := range regexp.MustCompile(`\b(pando[a-z0-9_:]*|ALERTS|up|process_[a-z_]+|go_[a-z_]+)\b(\{[^}]*\})?`).FindAllStringSubmatch(expr, -1) {
		selector := s[0]
		for matcher := range emptySelectors() {
			if strings.Contains(selector, matcher) {
				label := regexp.MustCompile(`^\w+`).FindString(matcher)
				selector = strings.Replace(selector, matcher, label+`!=""`, 1)
			}
		}
		asked[where+": reads "+s[0]] = question{expr: selector}
	}
	return asked
}
