package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/server"
)

const diagnosisPath = "v1/diagnosis"

// diagnosisJSON is what a replica has found.
type diagnosisJSON struct {
	At      time.Time   `json:"at"`
	Version string      `json:"version"`
	Checks  []checkJSON `json:"checks"`
}

// checkJSON is what one check has found.
type checkJSON struct {
	Name     string            `json:"name"`
	Level    server.Level      `json:"level"`
	Finding  string            `json:"finding"`
	Advice   string            `json:"advice,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
}

// doctorOptions is what pando doctor is asked.
type doctorOptions struct {
	connection connectionFlags
	config     configSource
	replicas   []string
	checks     []string
}

func newDoctorCommand(io stdio) *cobra.Command {
	o := &doctorOptions{config: configSource{env: os.Environ()}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, and say what to do about it",
		Long: `Look for what is wrong with a deployment, and say what to do. The replica that answers looks at itself, at its
configuration and at what all replicas share; this program looks at it from outside. With --replica, others
are asked too, and what differs is shown for each. It takes the role viewer.

With --config or --data it looks at the configuration, the database and the keys on this machine
instead, and needs no server; one may run meanwhile.

What is worst comes first. The exit code is 0 when all is in order, 10 after a warning, or when something
could not be looked at, and 11 after something critical. Each check is explained in docs/doctor.md.`,
		Example: `  pando doctor
  pando doctor --checks backup,crls -o json
  pando doctor --replica https://pando-2.internal:8443 --replica https://pando-3.internal:8443
  pando doctor --config /etc/pando/pando.yaml`,
		Args: cobra.NoArgs,
	}
	o.connection.addAdministratorTo(cmd)
	o.config.flags(cmd)
	cmd.Flags().StringArrayVar(&o.replicas, "replica", nil, "REST `URL` of another replica to ask too (repeatable)")
	cmd.Flags().StringSliceVar(&o.checks, "checks", nil, "make only these, as `NAME,NAME` (default: all)")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		findings, err := o.examine(cmd.Context(), io)
		if err != nil {
			return err
		}
		report := newDoctorReport(findings, time.Now())
		if err := report.result(coloured(io.out)).write(io.out, output.value); err != nil {
			return err
		}
		return report.failure()
	}
	return cmd
}

// examine looks from where it was told to.
func (o *doctorOptions) examine(ctx context.Context, io stdio) ([]doctorCheckJSON, error) {
	if o.config.file == "" && o.config.data == "" {
		return o.examineServers(ctx, io)
	}
	if len(o.replicas) > 0 {
		return nil, usageErrorf("--replica, and --config or --data, exclude each other")
	}
	return o.examineHere(ctx)
}

// seen is what a replica has said, and how it was seen to say it.
type seen struct {
	address   string
	diagnosis diagnosisJSON
	own       []checkJSON
}

// examineServers asks the server of the context, and the other replicas.
func (o *doctorOptions) examineServers(ctx context.Context, io stdio) ([]doctorCheckJSON, error) {
	now := time.Now()
	first, err := o.connection.dial(io, now)
	if err != nil {
		return nil, err
	}
	looked, err := o.look(ctx, first)
	if err != nil {
		return nil, err
	}
	all := []*seen{looked}
	credential, err := o.credential(now)
	if err != nil {
		return nil, err
	}
	all[0].own = append(all[0].own, credential)
	for _, address := range o.replicas {
		connection := o.connection
		connection.server = address
		client, err := connection.dial(stdio{in: io.in, out: io.out, err: discard{}}, now)
		if err != nil {
			return nil, err
		}
		other, err := o.look(ctx, client)
		if err != nil {
			other = &seen{address: client.server.Host, own: []checkJSON{{
				Name: "replica", Level: server.LevelCritical, Finding: short(err.Error()), Advice: "docs/runbooks/pando-down.md",
			}}}
		}
		all = append(all, other)
	}
	return o.wanted(compare(all)), nil
}

// discard is a writer for what was said already.
type discard struct{}

// Write implements io.Writer.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// look asks one replica, and looks at it from outside.
func (o *doctorOptions) look(ctx context.Context, client *apiClient) (*seen, error) {
	s, before := &seen{address: client.server.Host}, time.Now()
	query := url.Values{}
	if names := o.remote(); len(names) > 0 {
		query.Set("checks", strings.Join(names, ","))
	}
	if err := client.call(ctx, apiRequest{method: http.MethodGet, path: diagnosisPath, query: query}, &s.diagnosis); err != nil {
		return nil, err
	}
	s.own = []checkJSON{judgeOwnClock(s.diagnosis.At, before, time.Now()), lookAtDoor(ctx, client)}
	for i := range s.diagnosis.Checks {
		if c := &s.diagnosis.Checks[i]; !slices.Contains(server.Levels(), c.Level) {
			c.Level = server.LevelUnknown // of a later version
		}
	}
	return s, nil
}

// ownChecks are made by this program, of what it sees from outside.
func ownChecks() []string {
	return []string{"client_clock", "credential", "door", "replica"}
}

// remote is the checks that a server is asked for; none means all.
func (o *doctorOptions) remote() []string {
	var names []string
	for _, name := range o.checks {
		if !slices.Contains(ownChecks(), name) {
			names = append(names, name)
		}
	}
	return names
}

// wanted leaves out what was not asked for. That a replica does not answer is always told.
func (o *doctorOptions) wanted(checks []doctorCheckJSON) []doctorCheckJSON {
	if len(o.checks) == 0 {
		return checks
	}
	return slices.DeleteFunc(checks, func(c doctorCheckJSON) bool { return !slices.Contains(o.checks, c.Name) && c.Name != "replica" })
}

// judgeOwnClock compares the clock of this machine with that of a server, which says when it looked.
func judgeOwnClock(at, before, after time.Time) checkJSON {
	c := checkJSON{Name: "client_clock", Level: server.LevelOK, Finding: "the clocks of this machine and of the server agree"}
	skew := time.Duration(0)
	switch {
	case at.After(after):
		skew = at.Sub(after)
	case at.Before(before):
		skew = at.Sub(before)
	}
	c.Evidence = map[string]string{"skew": skew.String()}
	if skew.Abs() <= clientSkew {
		return c
	}
	c.Level, c.Advice = server.LevelWarning, "set the clocks by NTP: chronyc tracking, or timedatectl timesync-status"
	c.Finding = fmt.Sprintf("the clock of this machine and that of the server differ by %s", spanText(skew.Abs()))
	return c
}

const (
	// clientSkew is what two clocks that are kept by NTP do not differ by.
	clientSkew = time.Second
	// The parts of the life of the certificate of a door that are left when it is told of: it is
	// renewed when half of it is over.
	doorWarning  = 0.2
	doorCritical = 0.1
)

// lookAtDoor looks at the certificate that a server shows.
func lookAtDoor(ctx context.Context, client *apiClient) checkJSON {
	address := client.server.Host
	if client.server.Port() == "" {
		address = net.JoinHostPort(client.server.Hostname(), "443")
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: client.http.Timeout}, Config: client.trust.tlsConfig(nil)}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return checkJSON{Name: "door", Level: server.LevelUnknown, Finding: "not known: " + short(err.Error()), Advice: "pando probe " + address}
	}
	defer conn.Close()
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return checkJSON{Name: "door", Level: server.LevelUnknown, Finding: "not known: no TLS"}
	}
	leaf := secured.ConnectionState().PeerCertificates[0]
	return judgeLife("door", "the certificate of the door", "docs/runbooks/authority-expiring.md", life{leaf.NotBefore, leaf.NotAfter, doorWarning, doorCritical}, time.Now())
}

// credential looks at the certificate of whoever asks.
func (o *doctorOptions) credential(now time.Time) (checkJSON, error) {
	c, _, err := o.connection.resolve()
	if err != nil {
		return checkJSON{}, err
	}
	pair, err := loadKeyPair(c.Certificate, c.Key)
	if err != nil {
		return checkJSON{}, err
	}
	return judgeLife("credential", "the administrator's certificate", "pando context renew",
		life{pair.Leaf.NotBefore, pair.Leaf.NotAfter, expiryWarning, 0}, now), nil
}

// life is how long a certificate is valid, and the parts of it that are left when it is told of.
type life struct {
	from, to          time.Time
	warning, critical float64
}

// judgeLife looks at what is left of a certificate.
func judgeLife(name, what, advice string, l life, now time.Time) checkJSON {
	left := l.to.Sub(now)
	ratio := left.Seconds() / l.to.Sub(l.from).Seconds()
	c := checkJSON{
		Name: name, Level: server.LevelOK, Finding: fmt.Sprintf("%s has %s left", what, spanText(max(left, 0))),
		Evidence: map[string]string{"not_after": rfc3339(l.to), "left": fmt.Sprintf("%.0f%%", max(ratio, 0)*100)},
	}
	switch {
	case ratio < l.critical || left <= 0:
		c.Level, c.Advice = server.LevelCritical, advice
	case ratio < l.warning:
		c.Level, c.Advice = server.LevelWarning, advice
	}
	return c
}

// compare puts together what replicas have said: once what all say, and for each what they do not.
func compare(all []*seen) []doctorCheckJSON {
	var out []doctorCheckJSON
	count := make(map[string]int) // of replicas that say the same
	key := func(c *checkJSON) string { return strings.Join([]string{c.Name, string(c.Level), c.Finding}, "\x00") }
	for _, s := range all {
		for i := range s.diagnosis.Checks {
			count[key(&s.diagnosis.Checks[i])]++
		}
	}
	told := make(map[string]bool)
	for _, s := range all {
		for _, c := range append(s.diagnosis.Checks, s.own...) {
			shown := doctorCheckJSON{checkJSON: c}
			k := key(&c)
			switch {
			case count[k] == len(all) && told[k]:
				continue
			case count[k] != len(all) && len(all) > 1 && c.Name != "credential":
				shown.Server = s.address
			}
			told[k] = true
			out = append(out, shown)
		}
	}
	return out
}
