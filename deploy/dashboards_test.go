package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const (
	// pagesBase is where the documentation is read by whoever looks at a dashboard.
	pagesBase = "https://github.com/pando-ca/pando/blob/main/docs/"

	// boardSchema is the version of the schema of dashboards in the Grafana of docker-compose.yml, 12.1.
	// Newer ones migrate what they read.
	boardSchema = 41

	boardColumns = 24 // of Grafana's grid
)

// boardPanels is the kinds of panels that are used. Of each, Grafana's schema is known here.
func boardPanels() []variants.PanelcfgConfig {
	return []variants.PanelcfgConfig{
		bargauge.VariantConfig(), heatmap.VariantConfig(), stat.VariantConfig(),
		statetimeline.VariantConfig(), table.VariantConfig(), timeseries.VariantConfig(),
	}
}

// board is what the lint looks at. That the rest is as Grafana wants it, its schema says.
type board struct {
	UID, Title, Description string
	Tags                    []string
	SchemaVersion           int
	Editable                bool
	Links                   []boardLink
	Panels                  []panel
	Templating              struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
}

type boardLink struct {
	Title, Type, URL string
	Tags             []string
	IncludeVars      bool
	KeepTime         bool
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []any }
		}
	}
	Links   []boardLink
	Targets []struct {
		RefID, Expr string
		Datasource  struct{ UID string }
	}
}

// TestDashboards holds each dashboard against Grafana's schema and the rules of this repository. The
// rules are those of Grafana's dashboard-linter, as far as they are about dashboards on servers that are
// scraped under one job, and some more.
func TestDashboards(t *testing.T) {
	var uids []string
	for _, name := range globbed(t, "grafana/dashboards/*.json") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text := []byte(readText(t, name))
			for _, complaint := range lint(filepath.Base(name), text) {
				t.Error(complaint)
			}
			var b board
			if err := json.Unmarshal(text, &b); err != nil {
				t.Fatal(err)
			}
			uids = append(uids, b.UID)
			checkPages(t, b)
			if page := readText(t, "../docs/dashboards.md"); !hasRow(page, b.Title, "(../deploy/grafana/dashboards/"+filepath.Base(name)+")") {
				t.Errorf("docs/dashboards.md has no row with %s and %s", b.Title, name)
			}
		})
	}
	slices.Sort(uids)
	if want := []string{"pando-authorities", "pando-issuance", "pando-mtls", "pando-overview", "pando-workloads"}; !slices.Equal(uids, want) {
		t.Errorf("dashboards %v, want %v", uids, want)
	}
	home := loadCompose(t, nil).Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if home == nil || path.Base(*home) != "overview.json" {
		t.Error("Grafana does not open the overview")
	}
}

// checkPages makes sure that links lead to pages of the documentation, and to sections of them.
func checkPages(t *testing.T, b board) {
	t.Helper()
	links := slices.Clone(b.Links)
	for _, p := range b.Panels {
		links = append(links, p.Links...)
	}
	for _, l := range links {
		if l.Type == "dashboards" {
			continue
		}
		page, ok := strings.CutPrefix(l.URL, pagesBase)
		if !ok {
			t.Errorf("%s leads to %s", l.Title, l.URL)
			continue
		}
		page, section, _ := strings.Cut(page, "#")
		text := readText(t, filepath.Join("../docs", page))
		if title := strings.ReplaceAll(section, "-", " "); section != "" && !strings.Contains(strings.ToLower(text), "\n## "+title+"\n") {
			t.Errorf("%s has no section %s", page, section)
		}
	}
}

// TestEveryRunbookIsLinked: each page that an alert leads to, a panel leads to as well.
func TestEveryRunbookIsLinked(t *testing.T) {
	var all strings.Builder
	for _, name := range globbed(t, "grafana/dashboards/*.json") {
		all.WriteString(readText(t, name))
	}
	unseen := map[string]bool{"expiry-metric-missing.md": true} // then the panels are empty
	for name, r := range readAlerts(t) {
		page := strings.TrimPrefix(r.Annotations["runbook_url"], runbookBase)
		if !unseen[page] && !strings.Contains(all.String(), "runbooks/"+page) {
			t.Errorf("no panel leads to %s, the page of %s", page, name)
		}
	}
}

// lint returns what is wrong with a dashboard.
func lint(file string, text []byte) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	runtime := cog.NewRuntime() // of the process; to register twice is to register once
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	for _, config := range boardPanels() {
		runtime.RegisterPanelcfgVariant(config)
	}
	var schema dashboard.Dashboard //nolint:staticcheck // its successor is no format for files in Grafana 12.1
	// Without a fault the error is an empty list, which is not nil.
	if err := schema.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		complain("is not as Grafana wants it: %v", err)
	}
	if err := schema.Validate(); err != nil {
		complain("is not as Grafana wants it: %v", err)
	}
	if want, err := canonical(text); err != nil || !bytes.Equal(text, want) {
		complain("is not written with sorted keys and two spaces, as `jq -S .` does: %v", err)
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		return append(complaints, err.Error())
	}
	complaints = append(complaints, b.lint(file)...)
	ids, titles := make(map[int]bool), make(map[string]bool)
	for i, p := range b.Panels {
		if ids[p.ID] || titles[p.Title] {
			complain("%q: another panel has its number or its title", p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for _, other := range b.Panels[:i] {
			if p.covers(other) {
				complain("%q covers %q", p.Title, other.Title)
			}
		}
		for _, complaint := range p.lint() {
			complain("%q: %s", p.Title, complaint)
		}
	}
	return complaints
}

// canonical writes JSON so that a change shows as what was changed.
func canonical(text []byte) ([]byte, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return out.Bytes(), err
}

// lint looks at what is not in panels.
func (b *board) lint(file string) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if b.UID != "pando-"+strings.TrimSuffix(file, ".json") || !strings.HasPrefix(b.Title, "Pando / ") || !strings.HasSuffix(b.Description, ".") {
		complain("has the identifier %q, the title %q and the description %q", b.UID, b.Title, b.Description)
	}
	if !slices.Equal(b.Tags, []string{"pando"}) || b.SchemaVersion != boardSchema || b.Editable {
		complain("has the tags %v and the schema %d, and can be edited: %t", b.Tags, b.SchemaVersion, b.Editable)
	}
	if !slices.ContainsFunc(b.Links, func(l boardLink) bool {
		return l.Type == "dashboards" && slices.Equal(l.Tags, b.Tags) && l.IncludeVars && l.KeepTime
	}) {
		complain("does not lead to the other dashboards")
	}
	declared := make(map[string]bool)
	all := ""
	for _, v := range b.Templating.List {
		declared[v.Name] = true
		all += string(v.Query)
	}
	for _, name := range []string{"datasource", "trust_domain", "job"} {
		if !declared[name] {
			complain("has no variable %s", name)
		}
	}
	for _, p := range b.Panels {
		all += p.Datasource.UID
		for _, target := range p.Targets {
			all += target.Expr
		}
	}
	used := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\$\{?([a-z]\w*)`).FindAllStringSubmatch(all, -1) {
		used[m[1]] = true
	}
	if !maps.Equal(declared, used) {
		complain("has the variables %v and uses %v", declared, used)
	}
	return complaints
}

func (p *panel) covers(other panel) bool {
	a, b := p.GridPos, other.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// lint looks at a panel.
func (p *panel) lint() (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > boardColumns {
		complain("is at %+v", g)
	}
	if p.Type == "row" {
		return complaints
	}
	if !slices.ContainsFunc(boardPanels(), func(c variants.PanelcfgConfig) bool { return c.Identifier == p.Type }) {
		complain("is of the kind %s, whose schema is not known here", p.Type)
	}
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") {
		complain("has no title, or no sentence that describes it: %q", p.Description)
	}
	if d := p.FieldConfig.Defaults; d.Unit == "" || len(d.Thresholds.Steps) == 0 {
		complain("has no unit, or no thresholds")
	}
	if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		complain("reads nothing, or from %q", p.Datasource.UID)
	}
	for i, target := range p.Targets {
		if target.RefID != string(rune('A'+i)) || target.Datasource.UID != "${datasource}" {
			complain("query %d is %q, from %q", i+1, target.RefID, target.Datasource.UID)
		}
		for _, complaint := range lintQuery(target.Expr) {
			complain("query %s %s", target.RefID, complaint)
		}
	}
	return complaints
}

var (
	// reads finds a metric in an expression, its matchers, and the time that it is taken over.
	reads = regexp.MustCompile(`\b((?:pando|process|go)_[a-z0-9_]+|up|ALERTS)\b(\{[^}]*\})?(\[[^\]]*\])?`)

	// counters are read through rate or increase. The buckets of what is counted anew each time are gauges.
	counters = regexp.MustCompile(`_(total|bucket|sum|count)$`)
	gauges   = regexp.MustCompile(`^pando_identity_remaining_`)

	// ofTheFleet finds what is equal on all replicas, which is to be taken once, and not added up.
	ofTheFleet = regexp.MustCompile(`^pando_(identit|live_|earliest_|certificate_|bundle_|incident_|rotation_|crl_|mtls_|authority_|backup_)`)
	addedUp    = regexp.MustCompile(`\b(sum|avg|count)( by \([^)]*\))? ?\($`)
)

// lintQuery looks at an expression. What Prometheus says of it, TestDashboardsHaveData of cmd/pando asks.
func lintQuery(expr string) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	for _, at := range reads.FindAllStringIndex(expr, -1) {
		m := reads.FindStringSubmatch(expr[at[0]:])
		before, name, matchers, window := expr[:at[0]], m[1], m[2], m[3]
		if name != "ALERTS" && !strings.Contains(matchers, `job=~"$job"`) && !strings.Contains(matchers, `job=~"$program"`) {
			complain("reads %s of all jobs", name)
		}
		rate, increase := strings.HasSuffix(before, "rate("), strings.HasSuffix(before, "increase(")
		if counter := counters.MatchString(name) && !gauges.MatchString(name); counter != (rate || increase) {
			complain("reads %s, a counter: %t, through rate or increase: %t", name, counter, rate || increase)
		}
		if rate && window != "[$__rate_interval]" {
			complain("takes the rate of %s over %s", name, window)
		}
		if ofTheFleet.MatchString(name) && addedUp.MatchString(before) {
			complain("adds %s up, which is equal on all replicas", name)
		}
	}
	return complaints
}

// TestLintComplains makes sure that the test above can fail.
func TestLintComplains(t *testing.T) {
	text := readText(t, "grafana/dashboards/overview.json")
	for name, test := range map[string]struct{ before, after, want string }{
		"a field that Grafana does not know":       {`"graphMode"`, `"graphMood"`, "is not as Grafana wants it"},
		"keys in another order":                    {`"annotations": {`, `"zannotations": {`, "is not written with sorted keys"},
		"a metric of whatever is scraped":          {`sum(up{job=~\"$job\"})`, `sum(up)`, `"Replicas": query A reads up of all jobs`},
		"a counter as it is":                       {`sum by (code) (rate(pando_sign_requests_total{job=~\"$job\"}[$__rate_interval]))`, `pando_sign_requests_total{job=~\"$job\"}`, `"Requests by code": query A reads pando_sign_requests_total, a counter: true`},
		"a rate over a time that is not Grafana's": {`rate(process_cpu_seconds_total{job=~\"$job\"}[$__rate_interval])`, `rate(process_cpu_seconds_total{job=~\"$job\"}[1m])`, `"CPU": query A takes the rate`},
		"the fleet, once for each replica":         {`sum(max without (instance, pod) (pando_identities{job=~\"$job\", state=\"live\"}))`, `sum(pando_identities{job=~\"$job\", state=\"live\"})`, `"Live": query A adds pando_identities up`},
		"a panel without a description":            {`"description": "Servers that answer scrapes."`, `"description": ""`, `"Replicas": has no title, or no sentence`},
		"a panel without a unit":                   {`"unit": "bytes"`, `"unit": ""`, `"Memory": has no unit`},
		"two panels with one title":                {`"title": "Memory"`, `"title": "CPU"`, `"CPU": another panel has its number`},
		"a variable that there is not":             {`process_open_fds{job=~\"$job\"}`, `process_open_fds{job=~\"$job\", instance=~\"$instance\"}`, "has the variables"},
		"another data source":                      {`"uid": "${datasource}"`, `"uid": "prometheus"`, `from "prometheus"`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.ReplaceAll(text, test.before, test.after)
			if changed == text {
				t.Fatalf("there is no %s", test.before)
			}
			if complaints := lint("overview.json", []byte(changed)); !strings.Contains(strings.Join(complaints, "\n"), test.want) {
				t.Errorf("complaints %q, want %q", complaints, test.want)
			}
		})
	}
}
