package postgres_test

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// revokedRows is how many revoked, unexpired certificates BenchmarkPublish has.
const revokedRows = 1_000_000

// BenchmarkPublish measures the publication of the CRLs of an intermediate with a million revoked
// certificates: all shards, and again the one that another revocation is in. The peak is that of the
// memory of the process (VmHWM), with the collector set as the server sets it.
func BenchmarkPublish(b *testing.B) {
	debug.SetGCPercent(400)
	for _, shards := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			for range b.N {
				benchmarkPublish(b, shards)
			}
		})
	}
}

func benchmarkPublish(b *testing.B, shards int) {
	b.StopTimer()
	now := storetest.Now()
	s, publisher, issuer := publication(b, shards, now)
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // begin the peak anew
		b.Fatal(err)
	}
	before := peak(b)
	b.StartTimer()
	began := time.Now()
	publish := func(now time.Time) {
		if err := publisher.Publish(b.Context(), now); err != nil {
			b.Fatal(err)
		}
	}
	publish(now)
	b.StopTimer()
	b.ReportMetric(time.Since(began).Seconds(), "s/all")
	b.ReportMetric(float64(before)/1024, "MiB-before")
	b.ReportMetric(float64(peak(b))/1024, "MiB-peak")
	list, err := s.CRL(b.Context(), issuer, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(list.DER))/1e6, "MB/list")
	b.ReportMetric(float64(list.Entries), "entries/list")

	i := storetest.NewIssuance("spiffe://example.org/w", now)
	i.Issuer = issuer
	errs, err := s.InsertBatch(b.Context(), []*store.Issuance{i}, now)
	err = errors.Join(append(errs, err, s.Revoke(b.Context(), i.Serial, now, 1, storetest.NewAudit("certificate.revoke", "r")))...)
	if err != nil {
		b.Fatal(err)
	}
	began = time.Now()
	publish(now.Add(10 * time.Minute))
	b.ReportMetric(time.Since(began).Seconds(), "s/one")
	began = time.Now()
	publish(now.Add(11 * time.Minute))
	b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/none")
}

// publication is a CA on a server of its own, whose intermediate has revoked a million
// certificates in so many shards.
func publication(b *testing.B, shards int, now time.Time) (*postgres.Store, *rotation.Publisher, string) {
	b.Helper()
	url := pgtest.Start(b, pgserver.Config{Durable: true}).URL("postgres")
	if err := postgres.Migrate(b.Context(), postgres.Config{URL: url}); err != nil {
		b.Fatal(err)
	}
	s := open(b, url)
	pki := catest.New(b, catest.Options{Now: now})
	gen, keys := store.Generation{Number: 1, TrustDomain: "example.org", PublishedAt: now}, make(fixedKeys)
	for _, a := range pki.SetConfig().Authorities {
		keys[a.ID] = a.Signer
		gen.Authorities = append(gen.Authorities, store.Authority{
			ID: a.ID, Role: string(a.Role), State: string(a.State), ParentID: a.ParentID, Certificate: a.Certificate,
			Key: []byte(a.ID), StateSince: now, CRLShards: shards,
		})
	}
	if err := s.ReplaceGeneration(b.Context(), 0, gen, store.Fence{}); err != nil {
		b.Fatal(err)
	}
	issuer := pki.Set().Issuer().ID()
	fillRevocations(b, url, issuer, now)
	publisher, err := rotation.NewPublisher(rotation.PublisherConfig{
		Store: s, Keys: keys, Holder: "a",
		Policy: rotation.CRLPolicy{Period: time.Hour, URLs: ca.URLs{CRL: "http://pki.example.org/v1/crls/{authority}/{shard}.crl"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return s, publisher, issuer
}

// fillRevocations revokes certificates that were never issued.
func fillRevocations(b *testing.B, url, issuer string, now time.Time) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	_, err = conn.Exec(b.Context(), `
		INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason, seq)
		SELECT int4send(extract(epoch FROM $2::timestamptz)::integer) || decode(substr(md5(n::text), 1, 30), 'hex'), $1, $2, $3, 1, n
		FROM generate_series(1, $4) AS n`, issuer, now.Add(24*time.Hour), now, revokedRows)
	if err == nil { // the next one has a higher number
		_, err = conn.Exec(b.Context(), "UPDATE revocation_number SET seq = $1", revokedRows)
	}
	if err == nil {
		_, err = conn.Exec(b.Context(), "VACUUM ANALYZE revocations")
	}
	if err != nil {
		b.Fatal(err)
	}
}

// fixedKeys are keys by the reference that they are kept under.
type fixedKeys map[string]crypto.Signer

func (fixedKeys) Create(ca.KeyAlgorithm, string) (crypto.Signer, []byte, error) {
	return nil, nil, errors.ErrUnsupported
}

func (k fixedKeys) Open(ref []byte, _ string) (crypto.Signer, error) { return k[string(ref)], nil }

// peak is the most memory that the process has had, in KiB.
func peak(b *testing.B) int {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kib
}
