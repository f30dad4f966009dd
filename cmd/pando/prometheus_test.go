package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// prometheusServer is a real one that scrapes each second, and has the rules of this repository.
type prometheusServer struct {
	url     string
	started time.Time // from when on all that is scraped is there
}

// startPrometheus starts one on addresses by scrape job. The rules are those of deploy/prometheus,
// but their alerts fire at once: nobody has a day to wait for one.
func startPrometheus(t *testing.T, targets map[string][]string) *prometheusServer {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is not installed: run scripts/ensure-prometheus")
	}
	dir, address := t.TempDir(), freeAddresses(t, 1)[0]
	rules, err := filepath.Glob("../../deploy/prometheus/rules/*.yml")
	if err != nil || len(rules) == 0 {
		t.Fatalf("%v, %v", rules, err)
	}
	waits := regexp.MustCompile(`(?m)^        for: .*\n`)
	for _, name := range rules {
		writeFile(t, dir, filepath.Base(name), waits.ReplaceAll(readFile(t, name), nil))
	}
	writeFile(t, dir, "prometheus.yml", prometheusConfig(t, targets))
	startProcess(t, "Prometheus", exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address))
	p := &prometheusServer{url: "http://" + address}
	p.awaitTargets(t, targets)
	return p
}

func prometheusConfig(t *testing.T, targets map[string][]string) []byte {
	t.Helper()
	type target struct {
		Targets []string
	}
	type scrape struct {
		Job     string   `yaml:"job_name"`
		Targets []target `yaml:"static_configs"`
	}
	var config struct {
		Global struct {
			Scrape   string `yaml:"scrape_interval"`
			Evaluate string `yaml:"evaluation_interval"`
		}
		Rules  []string `yaml:"rule_files"`
		Scrape []scrape `yaml:"scrape_configs"`
	}
	config.Global.Scrape, config.Global.Evaluate, config.Rules = "1s", "1s", []string{"pando*.yml"}
	for job, addresses := range targets {
		config.Scrape = append(config.Scrape, scrape{job, []target{{addresses}}})
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// awaitTargets returns once every target has been scraped.
func (p *prometheusServer) awaitTargets(t *testing.T, targets map[string][]string) {
	t.Helper()
	want := 0
	for _, addresses := range targets {
		want += len(addresses)
	}
	for deadline := time.Now().Add(startLimit); ; time.Sleep(100 * time.Millisecond) {
		found, err := p.instant("up == 1")
		if err == nil && len(found) == want {
			p.started = time.Now()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d targets are scraped: %v", len(found), want, err)
		}
	}
}

// series is one of an answer.
type series struct {
	Metric map[string]string
	Values [][2]any // of a range: times, and values as text
	Value  [2]any   // of an instant
}

// instant asks for the values of now.
func (p *prometheusServer) instant(expr string) ([]series, error) {
	var data struct{ Result []series }
	err := p.get("/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// over asks for the values of each second since the start, as a panel does.
func (p *prometheusServer) over(expr string) ([]series, error) {
	var data struct{ Result []series }
	err := p.get("/api/v1/query_range", url.Values{
		"query": {expr}, "step": {"1"}, "start": {stamp(p.started)}, "end": {stamp(time.Now())},
	}, &data)
	return data.Result, err
}

func stamp(at time.Time) string { return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64) }

// labelValues asks what a variable of a dashboard is filled with.
func (p *prometheusServer) labelValues(selector, label string) (values []string, err error) {
	err = p.get("/api/v1/label/"+label+"/values", url.Values{"match[]": {selector}}, &values)
	return values, err
}

// get asks the API. An error holds what Prometheus says about a query that it does not understand.
func (p *prometheusServer) get(path string, query url.Values, data any) error {
	resp, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%w in %q", err, text)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s", answer.Error)
	}
	return nil
}

// drawable reports whether there is a number in an answer. NaN draws nothing.
func drawable(found []series) bool {
	for _, s := range found {
		for _, v := range append(s.Values, s.Value) {
			text, ok := v[1].(string)
			if !ok {
				continue // there is no value of the other kind
			}
			if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) {
				return true
			}
		}
	}
	return false
}

// board is what is asked of a dashboard.
type board struct {
	Title      string
	Panels     []boardPanel
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
}

type boardPanel struct {
	Title   string
	Panels  []boardPanel // of a row that is folded
	Targets []struct {
		Expr    string
		Instant bool
	}
}

// readBoards reads the dashboards of deploy/grafana, by file.
func readBoards(t *testing.T) map[string]board {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	boards := make(map[string]board)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		boards[filepath.Base(name)] = b
	}
	return boards
}

// alertingRule is one of deploy/prometheus/rules.
type alertingRule struct{ Record, Alert, Expr string }

// readRules reads all of them.
func readRules(t *testing.T) []alertingRule {
	t.Helper()
	files, err := filepath.Glob("../../deploy/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	var rules []alertingRule
	for _, name := range files {
		var file struct {
			Groups []struct{ Rules []alertingRule }
		}
		if err := yaml.Unmarshal(readFile(t, name), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, group := range file.Groups {
			rules = append(rules, group.Rules...)
		}
	}
	return rules
}
