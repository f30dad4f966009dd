package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/diagnosis"
	"github.com/pando-ca/pando/store"
)

// newExaminer makes what looks for what is wrong. What cfg lacks is filled in.
func newExaminer(c *config, db diagnosis.Database, v *vault, cfg diagnosis.Config) (*diagnosis.Examiner, error) {
	td, err := c.trustDomain()
	if err != nil {
		return nil, err
	}
	profiles, err := c.profiles()
	if err != nil {
		return nil, err
	}
	if cfg.Schema, err = c.schema(); err != nil {
		return nil, err
	}
	cfg.Database, cfg.Policy = db, c.rotationPolicy(profiles)
	cfg.Settings = func() diagnosis.Settings { return c.judged(profiles) }
	if cfg.OpenKey == nil {
		cfg.OpenKey = func(ref []byte, role ca.Role) (crypto.Signer, error) { return v.keys.Open(ref, ca.KeyLabel(td, role)) }
	}
	return diagnosis.New(cfg)
}

const (
	// appearEvery is how often a replica tells of itself.
	appearEvery = 30 * time.Second
	// appearTimeout bounds that; the next time comes.
	appearTimeout = 5 * time.Second
)

// appear tells the others of this replica until ctx ends, and then that it stops. When that fails,
// they see that it says nothing.
func (d *daemon) appear(ctx context.Context) error {
	schema, err := d.cfg.schema()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(appearEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := d.tellReplica(ctx, schema)
		if err != nil && !failing && ctx.Err() == nil {
			d.log.WarnContext(ctx, "replica not noted", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
			defer cancel()
			if err := d.db.ForgetReplica(ctx, d.name); err != nil {
				d.log.WarnContext(ctx, "replica not forgotten", "error", err)
			}
			return nil
		case <-ticker.C:
		}
	}
}

func (d *daemon) tellReplica(ctx context.Context, schema int64) error {
	ctx, cancel := context.WithTimeout(ctx, appearTimeout)
	defer cancel()
	skew, err := diagnosis.Skew(ctx, d.db)
	if err != nil {
		return err
	}
	return d.db.SeeReplica(ctx, store.Replica{Name: d.name, Version: readVersion().Version, Schema: schema, Skew: skew})
}

// fleetOf shows the figures of a service that is made later.
type fleetOf struct{ daemon *daemon }

// Figures implements diagnosis.Fleet.
func (f fleetOf) Figures() *server.Figures { return f.daemon.service.Figures() }

// judged is what is judged of the configuration, and of what it names, as it is now.
func (c *config) judged(profiles []policy.Profile) diagnosis.Settings {
	s := diagnosis.Settings{
		Profiles: profiles, Retention: time.Duration(c.Records.Retention), Migrate: c.Migrate,
		DatabaseAt: databaseAt(c.Database), SealKey: c.sealKeyAt(),
	}
	for _, l := range []struct {
		name, address string
		tls, plain    bool
	}{
		{"rest", c.Listen.REST, true, false}, {"grpc", c.Listen.GRPC, true, false},
		{"public", c.Listen.Public, false, true}, {"metrics", c.Listen.Metrics, false, false},
	} {
		if l.address != "" {
			s.Listeners = append(s.Listeners, diagnosis.Listener{Name: l.name, TLS: l.tls, Plain: l.plain, Public: publicAddress(l.address)})
		}
	}
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		lifetime := time.Duration(issuer.MaxLifetime)
		if lifetime == 0 {
			lifetime = day // as in package auth
		}
		s.Issuers = append(s.Issuers, diagnosis.Issuer{
			Name: issuer.Name, Reusable: issuer.Reusable, Roles: issuer.RoleClaim != "", MaxLifetime: lifetime,
		})
	}
	return s
}

// sealKeyAt is where the seal key is now; it was read when the server started.
func (c *config) sealKeyAt() diagnosis.SealKey {
	if os.Getenv(sealKeyVariable) != "" {
		return diagnosis.SealKeyInEnv
	}
	info, err := os.Stat(c.SealKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return diagnosis.SealKeyGone
	case err != nil || info.Mode().Perm()&0o077 != 0:
		return diagnosis.SealKeyExposed
	}
	return diagnosis.SealKeyOwned
}

// databaseAt is how a database is reached, by the worst of the ways that its URL allows.
func databaseAt(url string) diagnosis.DatabaseAt {
	if url == "" {
		return diagnosis.DatabaseLocal
	}
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return diagnosis.DatabasePlain // no server starts with it
	}
	worst := databaseWay(cfg.Host, cfg.TLSConfig)
	for _, f := range cfg.Fallbacks {
		worst = worseWay(worst, databaseWay(f.Host, f.TLSConfig))
	}
	return worst
}

func databaseWay(host string, config *tls.Config) diagnosis.DatabaseAt {
	address, err := netip.ParseAddr(host)
	switch {
	case strings.HasPrefix(host, "/"), strings.HasPrefix(host, "@"), host == "localhost", err == nil && address.IsLoopback():
		return diagnosis.DatabaseLocal
	case config == nil:
		return diagnosis.DatabasePlain
	case config.InsecureSkipVerify && config.VerifyPeerCertificate == nil:
		return diagnosis.DatabaseTLS
	}
	return diagnosis.DatabaseVerified
}

func worseWay(a, b diagnosis.DatabaseAt) diagnosis.DatabaseAt {
	for _, way := range []diagnosis.DatabaseAt{diagnosis.DatabasePlain, diagnosis.DatabaseTLS, diagnosis.DatabaseVerified} {
		if a == way || b == way {
			return way
		}
	}
	return diagnosis.DatabaseLocal
}

// publicAddress reports whether a listener has an address of the Internet, as far as the addresses
// of this machine tell: those of a network that translates them are not known here.
func publicAddress(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host != "" {
		address, err := netip.ParseAddr(host)
		if err != nil {
			return false // a name
		}
		if !address.IsUnspecified() {
			return onInternet(address)
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && onInternet(prefix.Addr()) {
			return true
		}
	}
	return false
}

// onInternet reports whether an address is one of the Internet, and not of a network of somebody's own.
func onInternet(address netip.Addr) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	address = address.Unmap()
	return address.IsGlobalUnicast() && !address.IsPrivate() && !shared.Contains(address)
}

// doctorHere makes the checks that need no server.
func doctorHere(c *config, db diagnosis.Database, keys func() (*vault, error)) (*diagnosis.Examiner, error) {
	v, err := keys()
	if err == nil {
		return newExaminer(c, db, v, diagnosis.Config{})
	}
	return newExaminer(c, db, nil, diagnosis.Config{OpenKey: func([]byte, ca.Role) (crypto.Signer, error) {
		return nil, fmt.Errorf("open keys: %w", err)
	}})
}
