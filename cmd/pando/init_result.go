package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// initResult is what init made, for people and as JSON.
type initResult struct {
	TrustDomain string     `json:"trust_domain"`
	Created     bool       `json:"created"` // false: it was there, and --if-needed was given
	Data        string     `json:"data"`
	Database    string     `json:"database"`
	SealKey     string     `json:"seal_key"`
	Config      string     `json:"config"`
	Bundle      string     `json:"bundle"`
	Authorities []madeCert `json:"authorities"`
	Admin       *madeAdmin `json:"administrator,omitempty"`
	Context     string     `json:"context,omitempty"`
	ContextNote string     `json:"-"`
	Request     string     `json:"request,omitempty"` // file with the request that waits for its certificate
	reach       string     // flags that lead the next commands to this CA
}

// madeCert is one authority of the result.
type madeCert struct {
	Role        string    `json:"role"`
	ID          string    `json:"id"`
	Fingerprint string    `json:"sha256"`
	NotAfter    time.Time `json:"not_after"`
}

// madeAdmin is the administrator of the result.
type madeAdmin struct {
	SPIFFEID    string    `json:"spiffe_id"`
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	NotAfter    time.Time `json:"not_after"`
}

// result gathers what was made.
func (o *initOptions) result(set *ca.Set, administrator *x509.Certificate) *initResult {
	r := &initResult{
		TrustDomain: o.cfg.TrustDomain, Data: o.cfg.Data, Database: o.cfg.databaseName(),
		SealKey: o.cfg.SealKeyFile, Config: o.path(configName), Bundle: o.path(caBundleName),
	}
	if o.sealKeyText != "" {
		r.SealKey = sealKeyVariable
	}
	for _, a := range authoritiesOf(set) {
		cert := a.Certificate()
		r.Authorities = append(r.Authorities, madeCert{string(a.Role()), a.ID(), fingerprint(cert.Raw), cert.NotAfter})
	}
	if administrator != nil {
		r.Created = true
		r.Admin = &madeAdmin{administrator.URIs[0].String(), o.path(o.admin + ".crt"), o.path(o.admin + ".key"), administrator.NotAfter}
	}
	return r
}

// authoritiesOf are those of a set, none if it could not be opened.
func authoritiesOf(set *ca.Set) []*ca.Authority {
	if set == nil {
		return nil
	}
	return set.Authorities()
}

// existing describes the CA that is there, for --if-needed. It must be the one that was asked
// for, and open with the seal key at hand. refusal is what init says if there is none, but
// something else in its place.
func (o *initOptions) existing(ctx context.Context, now time.Time, refusal error) (*initResult, error) {
	v, err := openVault(o.sealKeyText, o.cfg.SealKeyFile)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, &o.cfg)
	if errors.Is(err, errNoDatabase) {
		return nil, refusal
	}
	if errors.Is(err, store.ErrSchemaOld) {
		// An older version has made it, and serve or migrate will bring it up to date: it
		// is not for this command to decide when.
		return o.result(nil, nil), nil
	}
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := v.openToken(&o.cfg.Keys, db); err != nil {
		return nil, err
	}
	defer v.close()
	gen, err := db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refusal
	}
	if err != nil {
		return nil, describeDatabase(err)
	}
	set, err := openSet(v, &o.cfg, gen, now)
	if err != nil {
		return nil, err
	}
	return o.result(set, nil), nil
}

// write prints the result.
func (r *initResult) write(out io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	if r.Request != "" {
		return r.writeWaiting(out)
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-15s"+format+"\n", append([]any{name}, args...)...)
	}
	if r.Created {
		fmt.Fprintf(&b, "Made the CA of trust domain %s.\n\n", r.TrustDomain)
	} else {
		fmt.Fprintf(&b, "The CA of trust domain %s is there already; nothing was changed.\n\n", r.TrustDomain)
	}
	row("database", "%s", r.Database)
	row("seal key", "%s (keep a copy: without it the CA's keys are lost)", r.SealKey)
	for _, a := range r.Authorities {
		row(a.Role, "%s, until %s", a.ID, a.NotAfter.UTC().Format(time.DateOnly))
		if a.Role == string(ca.RoleRoot) {
			row("", "SHA-256 %s", a.Fingerprint)
		}
	}
	row("trust bundle", "%s", r.Bundle)
	row("configuration", "%s", r.Config)
	if r.Admin != nil {
		row("administrator", "%s, until %s", r.Admin.SPIFFEID, r.Admin.NotAfter.UTC().Format(time.DateOnly))
		row("", "%s, %s", r.Admin.Certificate, r.Admin.Key)
		row("context", "%s", r.ContextNote)
	}
	fmt.Fprintf(&b, "\nNext:\n  pando serve --data %s\n", r.Data)
	if r.Admin != nil {
		fmt.Fprintf(&b, "  pando entry create%s --spiffe-id spiffe://%s/web\n  pando token create%s ENTRY\n", r.reach, r.TrustDomain, r.reach)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// configText is pando.yaml: what was chosen, and nothing that is a default or comes from the
// environment.
func (o *initOptions) configText() []byte {
	var b bytes.Buffer
	b.WriteString("# Configuration of pando serve; every key is described in docs/configuration.md.\n" +
		"# Relative paths are taken from the directory of this file, which is the data directory too.\n")
	// Only what differs from the defaults: a default that a later version changes for the
	// better must not be held back by a copy of it here.
	chosen, defaults := o.written, defaultConfig()
	chosen.Data = ""
	before := settings(&defaults)
	section := ""
	for i, s := range settings(&chosen) {
		text, err := yaml.Marshal(s.value.Interface())
		old, oldErr := yaml.Marshal(before[i].value.Interface())
		if err != nil || oldErr != nil || bytes.Equal(text, old) {
			continue
		}
		indent, name := "", s.key
		if before, after, nested := strings.Cut(s.key, "."); nested {
			if before != section {
				fmt.Fprintf(&b, "%s:\n", before)
			}
			section, indent, name = before, "  ", after
		}
		writeSetting(&b, indent, name, text)
	}
	return b.Bytes()
}

// writeSetting writes one key with its value, which is YAML.
func writeSetting(b *bytes.Buffer, indent, name string, value []byte) {
	lines := strings.Split(strings.TrimSpace(string(value)), "\n")
	if len(lines) == 1 && !strings.HasPrefix(lines[0], "- ") {
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, lines[0])
		return
	}
	fmt.Fprintf(b, "%s%s:\n", indent, name)
	for _, line := range lines {
		fmt.Fprintf(b, "%s  %s\n", indent, line)
	}
}

// remember makes the command line know this CA, so that administration needs no flags. The CA
// does not depend on it: a failure is a note.
func (o *initOptions) remember() (name, note string) {
	if o.context == "" {
		return "", "not remembered (--context none)"
	}
	path, err := contextFilePath()
	if err != nil {
		return "", fmt.Sprintf("not remembered: %v", err)
	}
	known, err := loadContexts(path)
	if err != nil {
		return "", fmt.Sprintf("not remembered: %v", err)
	}
	mine := savedContext{
		Server: o.serverURL(), Bundle: o.path(caBundleName),
		Certificate: o.path(o.admin + ".crt"), Key: o.path(o.admin + ".key"),
	}
	if other, ok := known.Contexts[o.context]; ok && other != mine {
		return "", fmt.Sprintf("%q is that of another CA in %s, and was left as it is (see --context)", o.context, path)
	}
	if path, err = saveContext(o.context, mine, false); err != nil {
		return "", fmt.Sprintf("not remembered: %v", err)
	}
	return o.context, fmt.Sprintf("%s, in %s", o.context, path)
}

// reach is the flags by which a command reaches this CA: none if it is the one that commands
// without flags go to, --context if it is remembered beside that, or else everything.
func (o *initOptions) reach(context string) string {
	if context == "" {
		return fmt.Sprintf(" --server %s --bundle %s --cert %s --key %s",
			o.serverURL(), o.path(caBundleName), o.path(o.admin+".crt"), o.path(o.admin+".key"))
	}
	path, err := contextFilePath()
	if err != nil {
		return " --context " + context
	}
	if known, err := loadContexts(path); err != nil || known.Current != context {
		return " --context " + context
	}
	return ""
}

// serverURL is where this machine reaches the REST door.
func (o *initOptions) serverURL() string {
	host, port, err := net.SplitHostPort(o.cfg.Listen.REST)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
		if len(o.cfg.Serving.DNSNames) > 0 {
			host = o.cfg.Serving.DNSNames[0]
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}
