package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestPlans fills a table with tens of thousands of certificates over several days, and looks
// at how each query finds its rows.
func TestPlans(t *testing.T) {
	ctx, now := t.Context(), storetest.Now()
	cfg := Config{URL: pgtest.New(t)}
	if err := Migrate(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	last := fillTable(t, s, now)

	cursor := store.Cursor{NotAfter: now.Add(30 * time.Hour), Serial: last}
	filters := map[string]struct {
		filter store.RecordFilter
		index  string // of each partition, by the end of its name
	}{
		"by identity":               {store.RecordFilter{SPIFFEID: "spiffe://example.org/w7"}, "_spiffe_id_not_after_idx"},
		"by identity and state":     {store.RecordFilter{SPIFFEID: "spiffe://example.org/w7", State: store.StateLive, Now: now}, "_spiffe_id_not_after_idx"},
		"by identity and issuer":    {store.RecordFilter{SPIFFEID: "spiffe://example.org/w7", Issuer: "i1"}, "_spiffe_id_not_after_idx"},
		"by issuer":                 {store.RecordFilter{Issuer: "i1"}, "_issuer_not_after_idx"},
		"by issuer, a later page":   {store.RecordFilter{Issuer: "i1", After: cursor}, "_issuer_not_after_idx"},
		"by issuer and expiry":      {store.RecordFilter{Issuer: "i1", ExpiresBefore: now.Add(2 * time.Hour)}, "_issuer_not_after_idx"},
		"by state live":             {store.RecordFilter{State: store.StateLive, Now: now}, "_issuer_not_after_idx"},
		"by state expired":          {store.RecordFilter{State: store.StateExpired, Now: now}, "_issuer_not_after_idx"},
		"by state revoked":          {store.RecordFilter{State: store.StateRevoked, Now: now}, "_serial"},
		"by expiry":                 {store.RecordFilter{ExpiresBefore: now.Add(2 * time.Hour)}, "_issuer_not_after_idx"},
		"everything":                {store.RecordFilter{}, "_issuer_not_after_idx"},
		"everything, a later page":  {store.RecordFilter{After: cursor}, "_issuer_not_after_idx"},
		"by identity, a later page": {store.RecordFilter{SPIFFEID: "spiffe://example.org/w7", After: cursor}, "_spiffe_id_not_after_idx"},
	}
	for name, test := range filters {
		t.Run("records "+name, func(t *testing.T) {
			test.filter.Limit = 100
			sql, args := listing(test.filter)
			plan := explain(t, s, listPlanSQL, sql, args...)
			checkPlan(t, plan, test.index)
		})
	}
	t.Run("a look at the CRLs probes each octet", func(t *testing.T) {
		plan := explain(t, s, sessionSQL, crlsSQL) // it reads all lists, but not the revocations
		if strings.Contains(plan, "Seq Scan on revocations") || !strings.Contains(plan, "using revocations_shard on revocations") {
			t.Errorf("plan does not use the index:\n%s", plan)
		}
	})
	t.Run("a CRL reads the revocations of its shard", func(t *testing.T) {
		checkPlan(t, explain(t, s, sessionSQL, crlEntriesSQL, "i0", 7, 64), "revocations_shard")
	})
	t.Run("a record leads to one partition", func(t *testing.T) {
		from, to := dayBounds(last.Day())
		plan := explain(t, s, sessionSQL, recordSQL, last[:], from, to)
		checkPlan(t, plan, "_serial")
		if got := strings.Count(plan, "certificates_d"); got != 2 { // the index and its table
			t.Errorf("%d partitions and indexes in the plan, want one of each:\n%s", got, plan)
		}
	})
	t.Run("an insertion looks up its conditions by index", func(t *testing.T) {
		rows := []placed{{Issuance: storetest.NewIssuance("spiffe://example.org/w", now)}}
		plan := explain(t, s, sessionSQL, insertSQL, newColumns(rows).arguments()...)
		if strings.Contains(plan, "= i.issuer") {
			t.Errorf("plan looks for the authority of each row:\n%s", plan)
		}
		for _, index := range []string{"revocations_pkey", "blocked_keys_pkey"} {
			if !strings.Contains(plan, index) {
				t.Errorf("plan does not use %s:\n%s", index, plan)
			}
		}
	})
	t.Run("what an issuer selects is read in order", func(t *testing.T) {
		sql, args := selection(store.Selector{Issuer: "i1"}, now, cursor, revokePart)
		checkPlan(t, explain(t, s, listPlanSQL, sql, args...), "_issuer_not_after_idx")
	})
	t.Run("what an identity selects is read by index", func(t *testing.T) {
		sql, args := selection(store.Selector{SPIFFEID: "spiffe://example.org/w7"}, now, store.Cursor{}, revokePart)
		checkPlan(t, explain(t, s, sessionSQL, sql, args...), "_spiffe_id_not_after_idx")
	})
	t.Run("revocations are read from a number on", func(t *testing.T) {
		checkPlan(t, explain(t, s, listPlanSQL, revocationsSinceSQL, int64(1000), now, 100), "revocations_seq")
	})
	day, _ := dayBounds(dayOf(now))
	t.Run("facts count index entries of what is live", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, factsIssuersSQL, now, day)
		checkPlan(t, strings.ReplaceAll(plan, "HashAggregate", "Aggregate"), "_issuer_not_after_idx")
		if !strings.Contains(plan, "Index Only Scan using certificates_d20310305_issuer_not_after_idx") {
			t.Errorf("plan reads the rows that it counts:\n%s", plan)
		}
		if strings.Contains(plan, "certificates_d20310304") {
			t.Errorf("plan reads the partition of yesterday:\n%s", plan)
		}
	})
	t.Run("facts count acknowledgements by index", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, factsFollowersSQL, now)
		checkPlan(t, strings.ReplaceAll(plan, "HashAggregate", "Aggregate"), "acks_not_after")
	})
	from, _ := dayBounds(last.Day())
	t.Run("identities are index entries, and one row each", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, identitiesSQL, "spiffe://example.org/w2", now.Add(-24*time.Hour), 100)
		checkPlan(t, plan, "_spiffe_id_not_after_idx")
		if !strings.Contains(plan, "Index Only Scan using certificates_d20310305_spiffe_id_not_after_idx") {
			t.Errorf("plan reads rows to find the ends:\n%s", plan)
		}
		if strings.Contains(plan, "GroupAggregate") == strings.Contains(plan, "HashAggregate") {
			t.Errorf("plan does not stop when the page is full:\n%s", plan)
		}
		if first, _, _ := strings.Cut(plan, "CTE Scan"); strings.Contains(first, "certificates_d20310303") {
			t.Errorf("plan looks for ends before yesterday:\n%s", plan)
		}
	})
	t.Run("what is watched is one certificate for each entry", func(t *testing.T) {
		plan := explain(t, s, sessionSQL, watchedSQL, now, 500)
		index := strings.Count(plan, "_spiffe_id_not_after_idx on certificates_d")
		if index == 0 || index != strings.Count(plan, " on certificates_d") || strings.Contains(plan, "certificates_d20310304") {
			t.Errorf("plan does more than look into the index of each day that lives:\n%s", plan)
		}
	})
	t.Run("the use of an entry is a look into the index of each day", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, entryUsesSQL, now, now, 2000)
		index := strings.Count(plan, "_spiffe_id_not_after_idx on certificates_d")
		if index == 0 || index != strings.Count(plan, " on certificates_d") || strings.Contains(plan, "certificates_d20310304") {
			t.Errorf("plan does more than look into the index of each day:\n%s", plan)
		}
	})
	t.Run("live certificates are a range for each issuer", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, liveCountsSQL, now, day, now.Add(-store.RecentlyIssued))
		checkPlan(t, strings.ReplaceAll(plan, "HashAggregate", "Aggregate"), "_issuer_not_after_idx")
		if strings.Contains(plan, "certificates_d20310304") {
			t.Errorf("plan reads the partition of yesterday:\n%s", plan)
		}
	})
	t.Run("holdings are a range of SPIFFE IDs", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, holdingsSQL, "spiffe://example.org/w2", "spiffe://example.org/w3", now, time.Time{}, []byte{}, 1000)
		checkPlan(t, plan, "_spiffe_id_not_after_idx")
		if !strings.Contains(plan, "collected_pkey") {
			t.Errorf("plan reads all that was ever collected:\n%s", plan)
		}
	})
	t.Run("the newest certificate is at the end of its SPIFFE ID", func(t *testing.T) {
		plan := explain(t, s, listPlanSQL, newestSQL, "spiffe://example.org/w7", last[:], now)
		checkPlan(t, plan, "_spiffe_id_not_after_idx")
	})
	t.Run("an acknowledgement leads to one partition", func(t *testing.T) {
		onePartition(t, s, acknowledgeSQL, [][]byte{last[:]}, []int64{1}, []time.Time{now}, []time.Time{from})
	})
	t.Run("a revocation leads to one partition", func(t *testing.T) {
		onePartition(t, s, revocationInsertSQL, [][]byte{last[:]}, []time.Time{from}, now, 4, int64(1))
	})
}

// onePartition runs a statement and looks at which partitions it reads.
func onePartition(t *testing.T, s *Store, sql string, args ...any) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	partitions := 0
	for _, line := range lines {
		if strings.Contains(line, "certificates_d") && !strings.Contains(line, "never executed") {
			partitions++
		}
	}
	if plan := strings.Join(lines, "\n"); partitions != 1 || strings.Contains(plan, "Seq Scan on certificates") {
		t.Errorf("%d partitions are read, want one by its index:\n%s", partitions, plan)
	}
}

// fillTable inserts 40 000 certificates, revokes some, and returns a serial number.
func fillTable(t *testing.T, s *Store, now time.Time) store.Serial {
	t.Helper()
	ctx := t.Context()
	var last store.Serial
	for part := range 40 {
		batch := make([]*store.Issuance, 1000)
		for n := range batch {
			i := storetest.NewIssuance(fmt.Sprintf("spiffe://example.org/w%d", n), now)
			i.Issuer = fmt.Sprintf("i%d", part%3)
			i.NotAfter = now.Add(time.Duration(part-10)*3*time.Hour + time.Duration(n)*time.Second)
			i.Serial = storetest.NewSerial(i.NotAfter)
			i.Certificate = i.Certificate[:16]
			batch[n], last = i, i.Serial
		}
		if _, err := s.InsertBatch(ctx, batch, now); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(ctx, last, now, 1, storetest.NewAudit("certificate.revoke", "r")); err != nil {
			t.Fatal(err)
		}
	}
	// Enough rows that the planner would rather not read them all.
	for _, sql := range []string{
		`INSERT INTO blocked_keys (key_hash, blocked_at) SELECT sha256(n::text::bytea), now() FROM generate_series(1, 20000) AS n`,
		`INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason, seq)
		 SELECT sha256(n::text::bytea), 'i0', '2031-03-05 12:00:00+00'::timestamptz + n * interval '1 second', now(), 1, n
		 FROM generate_series(1, 20000) AS n`,
		`INSERT INTO acks (serial, sequence, not_after)
		 SELECT sha256(n::text::bytea), 1, '2031-03-05 12:00:00+00'::timestamptz + (n - 100000) * interval '1 second'
		 FROM generate_series(1, 120000) AS n`,
		`INSERT INTO collected (serial, not_after) SELECT sha256(n::text::bytea), now() FROM generate_series(1, 20000) AS n`,
		`ANALYZE`,
	} {
		if _, err := s.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// explain returns the plan that the server makes for a statement of the Store.
func explain(t *testing.T, s *Store, setting, sql string, args ...any) string {
	t.Helper()
	var plan string
	err := pgx.BeginFunc(context.Background(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), setting); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), "EXPLAIN (COSTS OFF) "+sql, args...)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// checkPlan reports a table that is read from end to end, and the lack of an index.
func checkPlan(t *testing.T, plan, index string) {
	t.Helper()
	for _, slow := range []string{"Seq Scan", "Hash", "Merge Join"} {
		if strings.Contains(plan, slow) {
			t.Errorf("plan has a step %q, which reads more than a page:\n%s", slow, plan)
		}
	}
	if !strings.Contains(plan, index) {
		t.Errorf("plan does not use an index %s:\n%s", index, plan)
	}
}
