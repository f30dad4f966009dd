package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
)

// lines is the lines of a good backup.
func lines(t testing.TB, lock *backup.Lock, key *age.X25519Identity, s store.Snapshots) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	_, err := backup.Create(context.Background(), backup.Config{
		Store: s, Schema: latest(t), Engine: "sqlite", Records: backup.RecordsAll, Lock: lock, Path: path, Seal: seal, Unseal: unseal,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := age.Decrypt(file, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// signed ends lines with a trailer that fits: what somebody can do who knows a recipient, but not the
// seal key.
func signed(all []string, proof []byte) string {
	body := strings.Join(all[:len(all)-1], "")
	digest := sha256.Sum256([]byte(body))
	if proof == nil {
		proof, _ = seal(digest[:])
	}
	return body + fmt.Sprintf(`{"digest":%q,"proof":%q}`, base64.StdEncoding.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(proof)) + "\n"
}

// edited changes the header.
func edited(t *testing.T, all []string, change func(map[string]any)) []string {
	t.Helper()
	var header map[string]any
	if err := json.Unmarshal([]byte(all[0]), &header); err != nil {
		t.Fatal(err)
	}
	change(header)
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{string(text) + "\n"}, all[1:]...)
}

func tableOf(header map[string]any, at int) map[string]any {
	return header["tables"].([]any)[at].(map[string]any)
}

// TestHostileBackups are refused, and nothing is written.
func TestHostileBackups(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := backup.NewLock(identity.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	key, err := backup.NewKey(identity.String())
	if err != nil {
		t.Fatal(err)
	}
	good := lines(t, lock, identity, newWorld(t, empty(t, "sqlite")))
	last := len(good) - 1
	header := func(change func(map[string]any)) string { return signed(edited(t, good, change), nil) }
	row := func(old, new string) string {
		all := slices.Clone(good)
		for i := range all {
			all[i] = strings.Replace(all[i], old, new, 1)
		}
		return signed(all, nil)
	}
	for name, c := range map[string]struct {
		plain string
		want  error
	}{
		"nothing":                      {"", backup.ErrDamaged},
		"a header that never ends":     {`{"format":"` + strings.Repeat("x", 2<<20), backup.ErrDamaged},
		"another format":               {header(func(h map[string]any) { h["format"] = "pg_dump" }), backup.ErrDamaged},
		"a newer format":               {header(func(h map[string]any) { h["version"] = 2 }), backup.ErrNewer},
		"a newer schema":               {header(func(h map[string]any) { h["schema"] = latest(t) + 1 }), backup.ErrNewer},
		"a schema without backups":     {header(func(h map[string]any) { h["schema"] = 9 }), backup.ErrDamaged},
		"a table that is not known":    {header(func(h map[string]any) { tableOf(h, 2)["name"] = "pg_authid" }), backup.ErrDamaged},
		"a table that is missing":      {header(func(h map[string]any) { h["tables"] = h["tables"].([]any)[1:] }), backup.ErrDamaged},
		"a column that is not known":   {header(func(h map[string]any) { tableOf(h, 1)["columns"].([]any)[0] = "x" }), backup.ErrDamaged},
		"fewer rows than none":         {header(func(h map[string]any) { tableOf(h, 1)["rows"] = -1 }), backup.ErrDamaged},
		"more rows than there are":     {header(func(h map[string]any) { tableOf(h, 1)["rows"] = 1 << 39 }), backup.ErrDamaged},
		"more rows than anybody has":   {header(func(h map[string]any) { tableOf(h, 1)["rows"] = int64(1 << 60) }), backup.ErrDamaged},
		"two generations":              {header(func(h map[string]any) { tableOf(h, 0)["rows"] = 2 }), backup.ErrDamaged},
		"no number of the revocations": {header(func(h map[string]any) { tableOf(h, 12)["rows"] = 0 }), backup.ErrDamaged},
		"another choice of records":    {header(func(h map[string]any) { h["records"] = "some" }), backup.ErrDamaged},
		"a header of another CA":       {header(func(h map[string]any) { h["trust_domain"] = "other.org" }), backup.ErrDamaged},
		"a row that is missing":        {signed(slices.Delete(slices.Clone(good), 2, 3), nil), backup.ErrDamaged},
		"a row too many":               {signed(slices.Insert(slices.Clone(good), 2, good[2]), nil), backup.ErrDamaged},
		"a row of another table":       {signed(slices.Insert(slices.Delete(slices.Clone(good), 1, 2), 2, good[1]), nil), backup.ErrDamaged},
		"null where none may be":       {row(`"active"`, `null`), backup.ErrDamaged},
		"a text where a number is":     {row(`[1,"example.org"`, `["1","example.org"`), backup.ErrDamaged},
		"a fraction":                   {row(`[1,"example.org"`, `[1.5,"example.org"`), backup.ErrDamaged},
		"a number that is too large":   {row(`[1,"example.org"`, `[9223372036854775808,"example.org"`), backup.ErrDamaged},
		"no base64":                    {row(`"AQ=="`, `"A"`), backup.ErrDamaged},
		"no JSON":                      {row(`[1,"example.org"`, `[1,example.org`), backup.ErrDamaged},
		"a row that was altered":       {strings.Join(good, ""), nil}, // altered below
		"no end":                       {strings.Join(good[:last], ""), backup.ErrDamaged},
		"half of it":                   {strings.Join(good[:last/2], "") + good[last/2][:5], backup.ErrDamaged},
		"something behind the end":     {strings.Join(good, "") + "\n[]\n", backup.ErrDamaged},
		"no proof":                     {signed(good, []byte{}), backup.ErrProof},
		"the proof of another":         {signed(good, []byte("sealed another digest")), backup.ErrProof},
		"a proof under another key":    {signed(good, []byte("x")), backup.ErrProof},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil {
				c.plain, c.want = strings.Replace(c.plain, "spiffe://example.org/b", "spiffe://example.org/x", 1), backup.ErrDamaged
			}
			refused(t, encrypted(t, c.plain, identity), key, c.want)
		})
	}
	whole := encrypted(t, strings.Join(good, ""), identity)
	t.Run("truncated", func(t *testing.T) { refused(t, whole[:len(whole)-1], key, backup.ErrDamaged) })
	t.Run("one bit is another", func(t *testing.T) {
		other := bytes.Clone(whole)
		other[len(other)/2] ^= 1
		refused(t, other, key, backup.ErrDamaged)
	})
	t.Run("no backup", func(t *testing.T) { refused(t, []byte("SQLite format 3\x00"), key, backup.ErrDamaged) })
	t.Run("another key", func(t *testing.T) {
		_, stranger, _ := keys(t)
		refused(t, whole, stranger, backup.ErrKey)
	})
}

// encrypted encrypts what somebody made up.
func encrypted(t *testing.T, plain string, identity *age.X25519Identity) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

// refused restores into a store that does not even come to be touched.
func refused(t *testing.T, file []byte, key *backup.Key, want error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := place{restore: func(context.Context, store.Restoration) error {
		t.Error("the database was touched")
		return nil
	}}
	if _, err := restore(t, path, key, "example.org", p); !errors.Is(err, want) {
		t.Errorf("restore: %v, want %v", err, want)
	}
}

// TestWhatTheDatabaseRefuses rolls everything back: a file with a proof, of rows that do not fit.
func TestWhatTheDatabaseRefuses(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			rows := synthetic(t, 3)
			bad := errors.New("the file ends here")
			for name, r := range map[string]func(write func(*store.Table, []store.Row) error) error{
				"a key twice": func(write func(*store.Table, []store.Row) error) error {
					return errors.Join(rows(write), rows(write))
				},
				"a file that fails at its end": func(write func(*store.Table, []store.Row) error) error {
					return errors.Join(rows(write), bad)
				},
			} {
				p := newPlace(t, engine)
				err := p.restore(t.Context(), store.Restoration{Schema: latest(t), Audit: audit(), Rows: r})
				if err == nil || strings.HasSuffix(name, "end") && !errors.Is(err, bad) || errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: %v", name, err)
				}
				for table, rows := range read(t, p.open(t)) {
					if len(rows) > 0 && table != "entry_version" && table != "mtls_version" && table != "revocation_number" {
						t.Errorf("%s: %d rows are left in %s", name, len(rows), table)
					}
				}
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	lock, key, recipient := keys(t)
	s := empty(t, "sqlite")
	cfg := config(t, s, lock)
	if _, err := backup.Create(t.Context(), cfg, time.Now()); !errors.Is(err, backup.ErrNoCA) {
		t.Errorf("of a database without a CA: %v", err)
	}
	newWorld(t, s)
	if _, err := backup.Create(t.Context(), cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Create(t.Context(), cfg, time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v, want %v", err, fs.ErrExist)
	}
	before, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Replace, cfg.Unseal = true, func([]byte) ([]byte, error) { return nil, errors.New("another key") }
	if _, err := backup.Create(t.Context(), cfg, time.Now()); !errors.Is(err, backup.ErrProof) {
		t.Errorf("that does not read back: %v", err)
	}
	after, err := os.ReadFile(cfg.Path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("one that fails has replaced the one before: %v", err)
	}
	if files, err := os.ReadDir(filepath.Dir(cfg.Path)); err != nil || len(files) != 1 {
		t.Errorf("files: %v, %v, want the backup alone", files, err)
	}
	cfg.Unseal = unseal
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Create(ended, cfg, time.Now()); err == nil {
		t.Error("after the end of the context one was made")
	}
	if _, err := backup.Verify(backup.Check{Path: cfg.Path, Key: key, Latest: latest(t), Unseal: unseal}); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "a private key": "AGE-SECRET-KEY-1QQ", "an SSH key": "ssh-ed25519 AAAA", "two kinds": recipient + "\n" + hybrid(t),
		"too many": strings.Repeat(recipient+"\n", backup.MaxRecipients+1),
	} {
		if _, err := backup.NewLock(text); err == nil {
			t.Errorf("recipients: %s was accepted", name)
		}
	}
	if _, err := backup.NewKey("AGE-SECRET-KEY-1SECRET"); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("identities: %v, which must not repeat them", err)
	}
}

func hybrid(t *testing.T) string {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity.Recipient().String()
}

// TestLocks opens what was encrypted in each way that there is.
func TestLocks(t *testing.T) {
	s := newWorld(t, empty(t, "sqlite"))
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pqLock, err := backup.NewLock("# comment\n" + pq.Recipient().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	pqKey, err := backup.NewKey(pq.String())
	if err != nil {
		t.Fatal(err)
	}
	phrase, err := backup.NewPassphraseKey("correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	lock, key, _ := keys(t)
	for name, c := range map[string]struct {
		lock *backup.Lock
		key  *backup.Key
	}{
		"a recipient":              {lock, key},
		"a post-quantum recipient": {pqLock, pqKey},
		"a passphrase":             {backup.NewPassphraseLock("correct horse battery staple"), phrase},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, s, c.lock)
			made, err := backup.Create(t.Context(), cfg, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			found, err := backup.Verify(backup.Check{Path: cfg.Path, Key: c.key, Latest: latest(t), Unseal: unseal})
			if err != nil || found.SHA256 != made.SHA256 {
				t.Errorf("verify: %v, %v", found, err)
			}
			sealed, err := os.ReadFile(cfg.Path)
			if err != nil || bytes.Contains(sealed, []byte("example.org")) {
				t.Errorf("the file is not encrypted: %v", err)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"format":"pando backup","version":1,"schema":10,"tables":[]}` + "\n"))
	f.Add([]byte("{}\n[]\n"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		r, err := backup.NewReader(bytes.NewReader(plain), 1<<30)
		if err != nil {
			if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrNewer) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if err := r.Rows(func(*store.Table, store.Row) error { return nil }); err != nil && !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
