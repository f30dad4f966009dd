package migrations_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/pando-ca/pando/migrations"
)

// firstAdditive is the first migration that earlier binaries had to be able to run beside.
const firstAdditive = 8

// Words of SQL, all in lower case and with single spaces.
var (
	comment  = regexp.MustCompile(`--[^\n]*`)
	declared = regexp.MustCompile(`^update schema_compatibility set since = ([0-9]+) where since < [0-9]+$`)
	creation = regexp.MustCompile(`^create table (?:if not exists )?(\w+)`)
	addition = regexp.MustCompile(`\badd (?:column )?(?:if not exists )?(\w+)`)
	altered  = regexp.MustCompile(`^alter table (?:if exists )?(?:only )?(\w+) (.*)$`)
	indexed  = regexp.MustCompile(`^create (unique )?index (?:concurrently )?(?:if not exists )?\w+ on (?:only )?(\w+) (?:using \w+ )?\(([^)]*)\)`)
	written  = regexp.MustCompile(`^(?:update|delete from|insert into) (\w+)`)
	constant = regexp.MustCompile(`\bdefault ('[^']*'|-?[0-9.]+|true|false|null)`)
	contract = regexp.MustCompile(`\b(drop|rename|truncate|alter|add constraint|add check|add unique|add primary key|add foreign key|add exclude|references|trigger|generated)\b`)
)

// Tables that have to be treated with care.
var (
	rewritten = []string{"authorities", "generation"}                                   // all their rows, by each new generation
	growing   = []string{"acks", "certificates", "collected", "replays", "revocations"} // with the fleet
)

// broken is what a migration does that the binaries of the release before cannot stand, unless
// it says that they need not; see the package comment.
func broken(sql string) (breaches []string) {
	ours, declares := make(map[string]bool), false // what this file makes: tables and table.column
	for _, statement := range statements(sql) {
		if declared.MatchString(statement) {
			declares = true
		}
		if m := creation.FindStringSubmatch(statement); m != nil {
			ours[m[1]] = true
		}
		if m := altered.FindStringSubmatch(statement); m != nil {
			for _, column := range addition.FindAllStringSubmatch(m[2], -1) {
				ours[m[1]+"."+column[1]] = true
			}
		}
	}
	for _, statement := range statements(sql) {
		if m := indexed.FindStringSubmatch(statement); m != nil && slices.Contains(growing, m[2]) {
			breaches = append(breaches, "holds up insertions: "+statement) // whoever runs beside
		}
		if found := breach(statement, ours); found != "" && !declares {
			breaches = append(breaches, found+": "+statement)
		}
	}
	return breaches
}

func breach(statement string, ours map[string]bool) string {
	if m := indexed.FindStringSubmatch(statement); m != nil {
		fresh := ours[m[2]]
		for column := range strings.SplitSeq(m[3], ",") {
			fresh = fresh || ours[m[2]+"."+strings.TrimSpace(column)]
		}
		if m[1] != "" && !fresh {
			return "refuses rows of earlier binaries"
		}
		return ""
	}
	if m := written.FindStringSubmatch(statement); m != nil {
		if ours[m[1]] || m[1] == "schema_compatibility" {
			return ""
		}
		return "changes rows of earlier binaries"
	}
	if creation.MatchString(statement) {
		return ""
	}
	m := altered.FindStringSubmatch(statement)
	switch {
	case m == nil:
		return "is neither a new table, column nor index"
	case ours[m[1]]:
		return ""
	case contract.MatchString(m[2]):
		return "takes away or constrains what earlier binaries use"
	case slices.Contains(rewritten, m[1]):
		return "adds what an earlier leader would lose"
	}
	for _, column := range strings.Split(m[2], ", add ") {
		hasDefault := strings.Contains(column, "default")
		switch {
		case strings.Contains(column, "not null") && !hasDefault:
			return "refuses rows of earlier binaries"
		case hasDefault && !constant.MatchString(column):
			return "may write a table anew"
		}
	}
	return ""
}

// statements are those of a file, without comments, in lower case, with single spaces.
func statements(sql string) (all []string) {
	for statement := range strings.SplitSeq(comment.ReplaceAllString(sql, ""), ";") {
		if words := strings.Fields(strings.ToLower(statement)); len(words) != 0 {
			all = append(all, strings.Join(words, " "))
		}
	}
	return all
}

func TestMigrationsLetEarlierBinariesRun(t *testing.T) {
	for _, d := range []migrations.Dialect{migrations.Postgres, migrations.SQLite} {
		names, err := fs.Glob(os.DirFS(string(d)), "*.sql")
		if err != nil || len(names) == 0 {
			t.Fatalf("%d files, %v", len(names), err)
		}
		for _, name := range names {
			version, err := goose.NumericComponent(name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path.Join(string(d), name))
			if err != nil {
				t.Fatal(err)
			}
			if version >= firstAdditive {
				for _, b := range broken(string(text)) {
					t.Errorf("%s/%s %s", d, name, b)
				}
			}
		}
	}
}

// TestDeclarationsAreEqualAndBounded compares what the files of both databases say of earlier binaries.
func TestDeclarationsAreEqualAndBounded(t *testing.T) {
	declarations := func(d migrations.Dialect) map[string]string {
		found := make(map[string]string)
		names, err := fs.Glob(os.DirFS(string(d)), "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(path.Join(string(d), name))
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range statements(string(text)) {
				if m := declared.FindStringSubmatch(statement); m != nil {
					found[name] = m[1]
					if number := fmt.Sprintf("%05s", m[1]); number > name[:5] {
						t.Errorf("%s/%s is for binaries of %s, which are later than it", d, name, number)
					}
				}
			}
		}
		return found
	}
	of := declarations(migrations.Postgres)
	if diff := cmp.Diff(of, declarations(migrations.SQLite)); diff != "" || of["00013_compatibility.sql"] != "7" {
		t.Errorf("Postgres (-) and SQLite (+) declare:\n%s%v", diff, of)
	}
}

func TestBrokenFinds(t *testing.T) {
	const declaration = "UPDATE schema_compatibility SET since = 14 WHERE since < 14;"
	tests := map[string]struct {
		sql  string
		want bool // that it breaks a rule
		ever bool // also if it declares
	}{
		"nothing in a new table":                    {sql: "CREATE TABLE t (a text NOT NULL); CREATE UNIQUE INDEX i ON t (a); INSERT INTO t VALUES ('b');"},
		"nothing in a column that may be null":      {sql: "ALTER TABLE audit ADD COLUMN link bigint, ADD COLUMN hash bytea;"},
		"nothing in a column with a default":        {sql: "ALTER TABLE entries ADD COLUMN watch boolean NOT NULL DEFAULT false;"},
		"nothing in an index of a small table":      {sql: "CREATE INDEX i ON entries (profile);"},
		"nothing in a unique index of a new column": {sql: "ALTER TABLE audit ADD COLUMN link bigint; CREATE UNIQUE INDEX i ON audit (link);"},
		"nothing in words of comments":              {sql: "-- DROP TABLE entries;\nCREATE TABLE t (a text);"},

		"a table that is dropped":                 {sql: "DROP TABLE entries;", want: true},
		"a column that is dropped":                {sql: "ALTER TABLE entries DROP COLUMN watch;", want: true},
		"a column that is dropped, short":         {sql: "alter table entries\n  drop watch;", want: true},
		"an index that is dropped":                {sql: "DROP INDEX entries_watch;", want: true},
		"a table that is renamed":                 {sql: "ALTER TABLE entries RENAME TO rules;", want: true},
		"a column that is renamed":                {sql: "ALTER TABLE entries RENAME COLUMN watch TO seen;", want: true},
		"a column that gets another type":         {sql: "ALTER TABLE entries ALTER COLUMN issuer TYPE bytea;", want: true},
		"a column that must not be null":          {sql: "ALTER TABLE audit ALTER COLUMN link SET NOT NULL;", want: true},
		"a column without a default":              {sql: "ALTER TABLE entries ADD COLUMN a text NOT NULL;", want: true},
		"a second column without a default":       {sql: "ALTER TABLE entries ADD COLUMN a text NOT NULL DEFAULT '', ADD COLUMN b text NOT NULL;", want: true},
		"a default that is computed":              {sql: "ALTER TABLE certificates ADD COLUMN a uuid NOT NULL DEFAULT gen_random_uuid();", want: true},
		"a column that is computed":               {sql: "ALTER TABLE certificates ADD COLUMN a text GENERATED ALWAYS AS (issuer) STORED;", want: true},
		"a column of the generation":              {sql: "ALTER TABLE authorities ADD COLUMN shards integer NOT NULL DEFAULT 1;", want: true},
		"a constraint":                            {sql: "ALTER TABLE entries ADD CONSTRAINT c CHECK (profile <> '');", want: true},
		"a unique index of an old column":         {sql: "CREATE UNIQUE INDEX i ON entries (spiffe_id);", want: true},
		"a trigger":                               {sql: "CREATE TRIGGER t BEFORE INSERT ON entries EXECUTE FUNCTION f();", want: true},
		"rows that are changed":                   {sql: "UPDATE entries SET profile = 'x';", want: true},
		"rows that are deleted":                   {sql: "DELETE FROM acks;", want: true},
		"an index of a table that grows":          {sql: "CREATE INDEX i ON certificates (profile);", want: true, ever: true},
		"a concurrent index of a table that does": {sql: "CREATE INDEX CONCURRENTLY i ON acks (sequence);", want: true, ever: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := broken(tt.sql); (len(got) != 0) != tt.want {
				t.Errorf("breaches %q, want some: %t", got, tt.want)
			}
			if got := broken(tt.sql + declaration); (len(got) != 0) != tt.ever {
				t.Errorf("breaches with a declaration %q, want some: %t", got, tt.ever)
			}
		})
	}
}
