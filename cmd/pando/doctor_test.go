package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/diagnosis"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// TestDoctorOnPostgres looks at a database that nobody has served from, and again once that was made
// good which a server does.
func TestDoctorOnPostgres(t *testing.T) {
	d := newDeployment(t, pgtest.New(t))
	look := func(names string) (code int, levels map[string]server.Level) {
		t.Helper()
		code, out, errs := runPando(t, "doctor", "--data", d.data, "--checks", names, "-o", "json")
		var report doctorReportJSON
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
		levels = make(map[string]server.Level)
		for _, c := range report.Checks {
			levels[c.Name] = c.Level
		}
		return code, levels
	}
	const names = "authorities,issuer,keys,schema,clock,partitions,backup,leases,entries,unused_entries,database_connection,migrate"
	want := map[string]server.Level{
		"authorities": "ok", "issuer": "ok", "keys": "ok", "schema": "ok", "clock": "ok", "entries": "ok", "unused_entries": "ok",
		"database_connection": "ok", "migrate": "ok", "backup": "warning", "leases": "critical", "partitions": "critical",
	}
	code, got := look(names)
	if diff := cmp.Diff(want, got); diff != "" || code != exitCritical {
		t.Errorf("before a server ran, exit code %d (-want +got):\n%s", code, diff)
	}

	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := db.Prepare(t.Context(), now, now.Add(97*day)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AcquireLease(t.Context(), "rotation", "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ = look(names); code != exitWarning {
		t.Errorf("without a backup: exit code %d, want %d", code, exitWarning)
	}
	db, err = openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Reach(t.Context(), store.Audit{At: now, Actor: "test", Action: "backup.create"}, store.MilestoneBackup); err != nil {
		t.Fatal(err)
	}
	if code, got = look(names); code != exitOK {
		t.Errorf("with one: exit code %d, %v", code, got)
	}
}

// TestDoctorSeesReplicas has two replicas on one Postgres, and then one more whose clock is wrong.
func TestDoctorSeesReplicas(t *testing.T) {
	database := pgtest.New(t)
	d := newDeployment(t, database)
	d.serve(t)
	other := d.replica(t)
	second := other.serve(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	await := func(n int) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			all, err := db.Replicas(t.Context())
			if err == nil && len(all) == n {
				return
			}
			if time.Since(began) > startLimit {
				t.Fatalf("replicas %+v, %v, want %d", all, err, n)
			}
		}
	}
	await(2)
	args := []string{
		"doctor", "--server", "https://" + d.addr.REST, "--replica", "https://" + other.addr.REST,
		"--checks", "replicas,clock,schema,leases,partitions,jobs,door,client_clock",
	}
	code, out, errs := runPando(t, args...)
	if code != exitOK || !strings.Contains(out, "2 replicas run, of one version and with clocks that agree") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	if strings.Count(out, "  schema ") != 1 || !strings.Contains(out, "door at "+other.addr.REST) {
		t.Errorf("what all say is not told once, or what one says not with its name:\n%s", out)
	}
	if err := db.SeeReplica(t.Context(), store.Replica{Name: "elsewhere/1", Version: readVersion().Version, Skew: 10 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runPando(t, args...)
	if code != exitCritical || !strings.Contains(out, "the clock of replica elsewhere/1 differs from that of the database by 10m; rotation.skew is 5m") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if err := db.ForgetReplica(t.Context(), "elsewhere/1"); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-second.done
	await(1) // it has said that it stops
}

func TestDatabaseConnections(t *testing.T) {
	for url, want := range map[string]diagnosis.DatabaseAt{
		"":                                                                 diagnosis.DatabaseLocal,
		"postgres://pando@localhost/pando":                                 diagnosis.DatabaseLocal,
		"postgres://pando@127.0.0.1:5433/pando":                            diagnosis.DatabaseLocal,
		"postgres:///pando?host=/run/postgresql":                           diagnosis.DatabaseLocal,
		"postgres://db.example.org/pando":                                  diagnosis.DatabasePlain, // TLS if the server likes
		"postgres://db.example.org/pando?sslmode=disable":                  diagnosis.DatabasePlain,
		"postgres://db.example.org/pando?sslmode=allow":                    diagnosis.DatabasePlain,
		"postgres://db.example.org/pando?sslmode=require":                  diagnosis.DatabaseTLS,
		"postgres://db.example.org/pando?sslmode=verify-full":              diagnosis.DatabaseVerified,
		"postgres://a.example.org,b.example.org/pando?sslmode=verify-full": diagnosis.DatabaseVerified,
		"postgres://localhost,b.example.org/pando?sslmode=disable":         diagnosis.DatabasePlain,
		"postgres://db.example.org/pando?sslmode=nonsense":                 diagnosis.DatabasePlain,
	} {
		if got := databaseAt(url); got != want {
			t.Errorf("%q: %s, want %s", url, got, want)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:9464": false, "[::1]:9464": false, "10.1.2.3:9464": false, "192.168.0.1:9464": false, "100.64.0.1:9464": false,
		"[fd00::1]:9464": false, "[fe80::1]:9464": false, "localhost:9464": false, "nonsense": false,
		"8.8.8.8:9464": true, "[2606:4700::1]:9464": true, "[::ffff:8.8.8.8]:9464": true,
	} {
		if got := publicAddress(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	inner := true
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		host, _, _ := strings.Cut(a.String(), "/")
		inner = inner && !publicAddress(net.JoinHostPort(host, "1"))
	}
	if publicAddress(":9464") == inner {
		t.Errorf("all addresses of this machine are inner ones: %v, and together they are the opposite", inner)
	}
}

func TestWhatIsSeenFromOutside(t *testing.T) {
	noon := time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	clock := func(ahead time.Duration) checkJSON {
		return judgeOwnClock(noon.Add(ahead), noon, noon.Add(time.Second))
	}
	left := func(left time.Duration) checkJSON {
		return judgeLife("c", "it", "do", life{noon, noon.Add(100 * time.Minute), doorWarning, doorCritical}, noon.Add(100*time.Minute-left))
	}
	for name, test := range map[string]struct {
		check checkJSON
		want  server.Level
	}{
		"the clocks agree":                 {clock(0), server.LevelOK},
		"the server is a second ahead":     {clock(2 * time.Second), server.LevelOK},
		"the server is further ahead":      {clock(2*time.Second + 1), server.LevelWarning},
		"the server is a second behind":    {clock(-time.Second), server.LevelOK},
		"the server is further behind":     {clock(-time.Second - 1), server.LevelWarning},
		"a fifth of a certificate is left": {left(20 * time.Minute), server.LevelOK},
		"less than a fifth is":             {left(20*time.Minute - time.Second), server.LevelWarning},
		"a tenth is":                       {left(10 * time.Minute), server.LevelWarning},
		"less than a tenth is":             {left(10*time.Minute - time.Second), server.LevelCritical},
		"nothing is":                       {left(0), server.LevelCritical},
	} {
		if test.check.Level != test.want || (test.check.Advice == "") != (test.want == server.LevelOK) {
			t.Errorf("%s: %+v, want %s", name, test.check, test.want)
		}
	}
}

// TestReplicasAreCompared: what all say is told once, and what one says with its name.
func TestReplicasAreCompared(t *testing.T) {
	check := func(name string, level server.Level, finding string) checkJSON {
		return checkJSON{Name: name, Level: level, Finding: finding}
	}
	all := compare([]*seen{
		{address: "a:8443", diagnosis: diagnosisJSON{Checks: []checkJSON{
			check("backup", server.LevelOK, "fine"), check("clock", server.LevelOK, "fine"),
		}}, own: []checkJSON{check("door", server.LevelOK, "fine"), check("credential", server.LevelOK, "fine")}},
		{address: "b:8443", diagnosis: diagnosisJSON{Checks: []checkJSON{
			check("backup", server.LevelOK, "fine"), check("clock", server.LevelCritical, "late"),
		}}, own: []checkJSON{check("door", server.LevelOK, "fine")}},
	})
	report := newDoctorReport(all, time.Now())
	var got []string
	for _, c := range report.Checks {
		got = append(got, string(c.Level)+" "+c.title())
	}
	want := []string{
		"critical clock at b:8443", "ok backup", "ok clock at a:8443", "ok door at a:8443", "ok credential", "ok door at b:8443",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if report.summary() != "1 critical, 5 ok" || exitCode(report.failure()) != exitCritical {
		t.Errorf("%s, %v", report.summary(), report.failure())
	}
}

// TestLevelsOfALaterVersion: what this one does not know is not in order.
func TestLevelsOfALaterVersion(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	s := newFakeServer(t, pki, serverID, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"at": %q, "version": "v9", "checks": [{"name": "c", "level": "dire", "finding": "f"}]}`, time.Now().UTC().Format(time.RFC3339Nano))
	})
	looked, err := new(doctorOptions).look(t.Context(), clientOf(t, s, pki))
	if err != nil {
		t.Fatal(err)
	}
	report := newDoctorReport(compare([]*seen{looked}), time.Now())
	if report.Level != server.LevelUnknown || exitCode(report.failure()) != exitWarning || report.count(server.LevelOK) != 2 {
		t.Errorf("report %+v", report)
	}
}

func TestReportsEndWithTheWorst(t *testing.T) {
	for name, test := range map[string]struct {
		levels []server.Level
		want   int
	}{
		"nothing":            {nil, exitOK},
		"all in order":       {[]server.Level{"ok", "ok"}, exitOK},
		"one is not known":   {[]server.Level{"ok", "unknown"}, exitWarning},
		"a warning":          {[]server.Level{"warning", "ok", "unknown"}, exitWarning},
		"something critical": {[]server.Level{"warning", "critical", "ok"}, exitCritical},
	} {
		var checks []doctorCheckJSON
		for _, level := range test.levels {
			checks = append(checks, doctorCheckJSON{checkJSON: checkJSON{Name: "c", Level: level, Finding: "\x1b[2J", Advice: "\n"}})
		}
		report := newDoctorReport(checks, time.Now())
		if got := exitCode(report.failure()); got != test.want {
			t.Errorf("%s: exit code %d, want %d", name, got, test.want)
		}
		var plain, coloured strings.Builder
		if err := report.result(false).write(&plain, formTable); err != nil {
			t.Fatal(err)
		}
		if err := report.result(true).write(&coloured, formTable); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plain.String(), "\x1b") || strings.Count(coloured.String(), "\x1b") != 2*len(checks) {
			t.Errorf("%s: escapes in %q and %q", name, plain.String(), coloured.String())
		}
	}
}

// TestOwnChecksAreDocumented: docs/doctor.md has a row for each check that needs no server.
func TestOwnChecksAreDocumented(t *testing.T) {
	page := string(readFile(t, "../../docs/doctor.md"))
	for _, name := range ownChecks() {
		if !strings.Contains(page, "\n| `"+name+"` |") {
			t.Errorf("docs/doctor.md has no row for %s", name)
		}
	}
}
