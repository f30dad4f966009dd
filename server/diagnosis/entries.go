package diagnosis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

const (
	// mostEntries is how many entries are read to look for weak ones: some megabytes.
	mostEntries = 10_000
	entryPage   = 1000
	// mostUses is how many entries it is looked up for whether they are used: in each partition of
	// the database once.
	mostUses = 2000
	// unusedFor is how long nobody has used an entry that is told of, and how old it is at least.
	unusedFor = 30 * day
)

// entryChecks are about the rules by which identities are given.
func (e *Examiner) entryChecks() {
	e.add("entries", func(ctx context.Context, _ time.Time) (verdict, error) {
		entries, err := e.readEntries(ctx)
		return judgeEntries(entries, e.cfg.Settings().Issuers), err
	})
	e.add("unused_entries", func(ctx context.Context, now time.Time) (verdict, error) {
		recent := min(unusedFor, e.cfg.Settings().Retention) // of what ended before there is no record
		uses, err := e.cfg.Database.EntryUses(ctx, store.EntryUseFilter{
			CreatedBefore: now.Add(-unusedFor), EndsAfter: now.Add(-recent), Limit: mostUses,
		})
		return judgeUses(uses, recent), err
	})
}

func (e *Examiner) readEntries(ctx context.Context) ([]store.Entry, error) {
	var all []store.Entry
	filter := store.EntryFilter{Limit: entryPage}
	for len(all) < mostEntries {
		page, err := e.cfg.Database.Entries(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		all = append(all, page...)
		if len(page) < entryPage {
			break
		}
		filter.After = page[len(page)-1].ID
	}
	return all, nil
}

// judgeEntries looks for rules that let in more than anybody is likely to mean.
func judgeEntries(entries []store.Entry, issuers []Issuer) verdict {
	v := fine("no entry lets in all who hold a token of an issuer")
	v.note("looked_at", len(entries))
	if len(entries) >= mostEntries {
		v.note("not_looked_at", fmt.Sprintf("any after the first %d", mostEntries))
	}
	for i := range entries {
		e := &entries[i]
		advice := "pando entry show " + e.ID + ", and make one with claims that name the workload instead: docs/authentication.md"
		switch {
		case e.Method == string(policy.MethodJWT) && wide(e.Claims):
			v.say(server.LevelWarning, advice, "entry %s takes every token of issuer %s", e.ID, e.Issuer)
		case e.Method == string(policy.MethodJWT) && reusable(issuers, e.Issuer) && !namesSubject(e):
			v.say(server.LevelWarning, advice, "entry %s takes tokens of issuer %s, which may be shown again, without naming their subject", e.ID, e.Issuer)
		}
		if slices.ContainsFunc(e.DNSNames, func(name string) bool { return strings.HasPrefix(name, "*.") }) {
			v.say(server.LevelWarning, "pando entry show "+e.ID+", and name the hosts instead", "entry %s gives a wildcard DNS name", e.ID)
		}
	}
	return v
}

// wide reports whether claims only say what every token of an issuer says: who has made it, and for
// whom.
func wide(claims map[string]string) bool {
	for name := range claims {
		if first := firstSegment(name); first != "iss" && first != "aud" {
			return false
		}
	}
	return true
}

// namesSubject reports whether an entry asks for a subject, or takes its SPIFFE ID from claims: then
// a token is good for its own identity only.
func namesSubject(e *store.Entry) bool {
	if strings.Contains(e.SPIFFEID, "{") {
		return true
	}
	for name := range e.Claims {
		if first := firstSegment(name); first == "sub" || first == "kubernetes.io" {
			return true
		}
	}
	return false
}

// firstSegment is the top-level claim that a name or a JSON pointer leads into.
func firstSegment(name string) string {
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		name, _, _ = strings.Cut(rest, "/")
	}
	return name
}

func reusable(issuers []Issuer, name string) bool {
	return slices.ContainsFunc(issuers, func(i Issuer) bool { return i.Name == name && i.Reusable })
}

// judgeUses looks for entries that nobody uses.
func judgeUses(uses []store.EntryUse, recent time.Duration) verdict {
	v := fine("every entry is in use that is older than %s", span(unusedFor))
	var unused []string
	for _, u := range uses {
		if !u.Used {
			unused = append(unused, u.ID)
		}
	}
	v.note("looked_at", len(uses))
	v.note("unused", len(unused))
	if len(uses) >= mostUses {
		v.note("not_looked_at", fmt.Sprintf("any after the first %d", mostUses))
	}
	if len(unused) > 0 {
		v.say(server.LevelWarning, "pando entry delete, if they are not wanted any more",
			"%d entries are older than %s, and their SPIFFE IDs have no certificate that ended less than %s ago: %s",
			len(unused), span(unusedFor), span(recent), few(unused, ", "))
	}
	return v
}
