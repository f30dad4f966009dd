package store_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/store"
)

// TestHashesNeverChange: what was hashed once must verify for ever.
func TestHashesNeverChange(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 2, 3, 456789, time.UTC)
	loose := []store.Audit{{Seq: 1, At: at, Actor: "pando init", Action: "generation.replace", Target: "1"}}
	rows := store.AddToChain(store.AuditHead{}, loose, []int64{4, 7, 8}, []store.Audit{
		{At: at.Add(time.Hour), Actor: "ann", Action: "entry.create", Target: "ent_1", Detail: map[string]string{"b": "2", "a": "1"}},
		{At: time.Unix(-1, 0), Actor: "bób\xff", Action: "entry.delete"},
	})
	var heads []string
	for i := range rows {
		heads = append(heads, rows[i].Head().String())
	}
	want := []string{
		"1:1cbfa31d134e5c623fec1d30e7ae793f5a36e80d2bd0a0f4700679c68801e6c3",
		"2:4c4197ee44d92dbe70278cf468c599c3c328f8e175f25b0808fd143fa43168cb",
		"3:43c905ce71f09b435a8130baecd870136fbfa0f14ab60217ad7dbd3e2cc20136",
	}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
	if d := rows[0].Detail; rows[0].Action != store.ActionCover || d["rows"] != "1" || d["first"] != "1" || d["last"] != "1" {
		t.Errorf("the row that vouches is %+v", rows[0])
	}
}

// TestRowsThatLookAlikeHaveOtherHashes: no text can pass for a part of its neighbour.
func TestRowsThatLookAlikeHaveOtherHashes(t *testing.T) {
	seen := make(map[string]int)
	for i, row := range []store.Audit{
		{}, {Actor: "ab"}, {Actor: "a", Action: "b"}, {Action: "ab"}, {Action: "a", Target: "b"}, {Target: "ab"},
		{Target: "a", Detail: map[string]string{"b": ""}}, {Target: "a", Detail: map[string]string{"": "b"}},
		{Target: "a", Detail: map[string]string{"b": "c", "d": "e"}}, {Target: "a", Detail: map[string]string{"b": "cd", "": "e"}},
		{At: time.UnixMicro(1)}, {Detail: map[string]string{"": ""}},
	} {
		if row.At.IsZero() {
			row.At = time.UnixMicro(0)
		}
		head := store.AddToChain(store.AuditHead{}, nil, []int64{1}, []store.Audit{row})[0].Head().String()
		if other, ok := seen[head]; ok {
			t.Errorf("rows %d and %d have the same hash", other, i)
		}
		seen[head] = i
	}
}

func TestParseAuditHead(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for text, good := range map[string]bool{
		"1:" + sum: true, "9223372036854775807:" + sum: true, "1:" + strings.ToUpper(sum): true,
		"": false, "1": false, "0:" + sum: false, "-1:" + sum: false, "9223372036854775808:" + sum: false,
		"1:" + sum[2:]: false, "1:" + sum + "00": false, "1:zz" + sum[2:]: false, " 1:" + sum: false, sum: false,
	} {
		head, err := store.ParseAuditHead(text)
		if good != (err == nil) || !good && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
		if good && head.String() != strings.ToLower(text) {
			t.Errorf("%q is %s", text, head)
		}
	}
}

// TestVerifierJudgesAnything: rows as no database gives them, one after the other.
func TestVerifierJudgesAnything(t *testing.T) {
	chained := store.AddToChain(store.AuditHead{}, nil, []int64{1, 2}, []store.Audit{{Target: "a"}, {Target: "b"}})
	rest := store.AuditHead{Link: 1, Hash: chained[0].Head().Hash}
	wrong := store.AuditHead{Link: 1}
	ahead := store.AuditHead{Link: 3}
	unhashed := func(seq, link int64) store.Audit { return store.Audit{Seq: seq, Link: link, At: chained[0].At} }
	for name, test := range map[string]struct {
		known *store.AuditHead
		rows  []store.Audit
		want  string // empty: all fit
	}{
		"nothing":                         {},
		"nothing, after something":        {known: &rest, want: "link 1: the head that was noted is missing: the chain ends at link 0"},
		"all":                             {rows: chained},
		"all, with a head":                {known: &rest, rows: chained},
		"all, with another head":          {known: &wrong, rows: chained, want: "row 1 (link 1): its hash is not the one that was noted"},
		"all, with a head that is ahead":  {known: &ahead, rows: chained, want: "link 3: the head that was noted is missing: the chain ends at link 2"},
		"the rest":                        {rows: chained[1:], want: "row 2 (link 2): link 1 was expected"},
		"the rest, behind a head":         {known: &rest, rows: chained[1:]},
		"the rest, behind another head":   {known: &wrong, rows: chained[1:], want: "row 2 (link 2): its hash is not that of what it says"},
		"a row twice":                     {rows: []store.Audit{chained[0], chained[0]}, want: "row 1 (link 1): it does not come after row 1"},
		"the wrong order":                 {rows: []store.Audit{chained[1], chained[0]}, want: "row 2 (link 2): link 1 was expected"},
		"a row of an earlier release":     {rows: []store.Audit{chained[0], chained[1], unhashed(3, 0)}},
		"one whose voucher is not there":  {rows: []store.Audit{chained[0], unhashed(3, 4)}, want: "row 3 (link 4): the row that vouches for it is missing"},
		"one whose voucher was before it": {rows: []store.Audit{chained[0], unhashed(3, 1)}, want: "row 3 (link 1): it has no hash"},
		"one whose voucher is another":    {rows: []store.Audit{chained[0], {Seq: 2, Link: 2}}, want: "row 2 (link 2): the row that vouches"},
	} {
		t.Run(name, func(t *testing.T) {
			verifier := store.AuditVerifier{Known: test.known}
			var err error
			for i := 0; i < len(test.rows) && err == nil; i++ {
				err = verifier.Add(&test.rows[i])
			}
			if err == nil {
				_, err = verifier.End()
			}
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestRowsThatAreVouchedForMeanwhile: who reads in pages has read some rows before there was one that
// vouches for them.
func TestRowsThatAreVouchedForMeanwhile(t *testing.T) {
	loose := make([]store.Audit, 5)
	for i := range loose {
		loose[i] = store.Audit{Seq: int64(i + 1), At: time.UnixMicro(0), Target: strconv.Itoa(i)}
	}
	chained := store.AddToChain(store.AuditHead{}, loose[:4], []int64{6, 7}, []store.Audit{{Target: "a"}})
	for before := range 6 { // so many were read without a link; the fifth row is loose for good
		rows := slices.Clone(loose)
		for i := before; i < 4; i++ {
			rows[i].Link = 1
		}
		verify := func(rows []store.Audit) (store.AuditSummary, error) {
			var verifier store.AuditVerifier
			for _, a := range slices.Concat(rows, chained) {
				if err := verifier.Add(&a); err != nil {
					return store.AuditSummary{}, err
				}
			}
			return verifier.End()
		}
		want := store.AuditSummary{Rows: 7, Covered: 4, Loose: 1, First: 5, Head: chained[1].Head()}
		if got, err := verify(rows); err != nil || got != want {
			t.Errorf("%d read before: %+v, %v, want %+v", before, got, err, want)
		}
		for i := range 4 {
			changed := slices.Clone(rows)
			changed[i].Target = "another"
			if _, err := verify(changed); err == nil {
				t.Errorf("%d read before, row %d changed: it fits", before, i+1)
			}
			if _, err := verify(slices.Delete(slices.Clone(rows), i, i+1)); err == nil {
				t.Errorf("%d read before, row %d taken out: it fits", before, i+1)
			}
		}
	}
}

func TestAuditDetail(t *testing.T) {
	for raw, want := range map[string]map[string]string{
		`{}`: nil, `{"a": "b"}`: {"a": "b"}, `{"a": 1, "b": {"c": null}}`: {"a": "1", "b": `{"c": null}`},
		`[1]`: {"": "[1]"}, `null`: nil, `no JSON`: {"": "no JSON"}, ``: {"": ""},
	} {
		if diff := cmp.Diff(want, store.AuditDetail([]byte(raw))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func FuzzParseAuditHead(f *testing.F) {
	f.Add("1:" + hex.EncodeToString(make([]byte, 32)))
	f.Add("1:")
	f.Fuzz(func(t *testing.T, text string) {
		head, err := store.ParseAuditHead(text)
		if err != nil {
			return
		}
		if again, err := store.ParseAuditHead(head.String()); err != nil || again != head {
			t.Errorf("%q is %s, which is %s: %v", text, head, again, err)
		}
	})
}
