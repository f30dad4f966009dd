package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

func TestAuditRowsThatWereTamperedWith(t *testing.T) {
	storetest.RunTampering(t, func(t *testing.T) storetest.AuditDatabase {
		cfg := sqlite.Config{Dir: t.TempDir()}
		migrate(t, cfg)
		db, err := sql.Open("sqlite", cfg.Dir+"/pando.db")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		exec := func(statement string) {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		return storetest.AuditDatabase{Store: open(t, cfg), Exec: exec, Moment: "1000000"}
	})
}

// TestAuditedIsTold of what is durable, and of nothing else.
func TestAuditedIsTold(t *testing.T) {
	var told []store.Audit
	cfg := sqlite.Config{Dir: t.TempDir(), Audited: func(rows []store.Audit) { told = append(told, rows...) }}
	migrate(t, cfg)
	s := open(t, cfg)
	storetest.CheckAudited(t, s, func() []store.Audit { return told })
}
