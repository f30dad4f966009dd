package client

import (
	"errors"
	"testing"
	"time"
)

func TestAnswersAboutRevocations(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) serial { return randomSerial(now.Add(d)) }
	a, b, c := in(time.Hour), in(time.Hour), in(time.Hour)
	over, justOver := in(-time.Hour), in(-time.Minute)
	key, other := keyID{1}, keyID{2}
	for name, test := range map[string]struct {
		answers  []revocationList
		want     []serial // revoked in the end, of all the above
		keys     []keyID
		sequence uint64
		news     bool // of the last answer
		same     bool // the last answer changed nothing at all
	}{
		"nothing":                          {answers: []revocationList{{}}, same: true},
		"the first":                        {answers: []revocationList{{Sequence: 1, Serials: []serial{a}}}, want: []serial{a}, sequence: 1, news: true},
		"one more":                         {answers: []revocationList{{Sequence: 1, Serials: []serial{a}}, {Sequence: 2, Serials: []serial{b}}}, want: []serial{a, b}, sequence: 2, news: true},
		"the same again":                   {answers: []revocationList{{Sequence: 1, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{a}}}, want: []serial{a}, sequence: 1, same: true},
		"one twice in an answer":           {answers: []revocationList{{Sequence: 2, Serials: []serial{a, a}}}, want: []serial{a}, sequence: 2, news: true},
		"one that has expired":             {answers: []revocationList{{Sequence: 1, Serials: []serial{over}}}, sequence: 1},
		"one that has only just":           {answers: []revocationList{{Sequence: 1, Serials: []serial{justOver}}}, want: []serial{justOver}, sequence: 1, news: true},
		"an authority":                     {answers: []revocationList{{Sequence: 1, Authorities: []keyID{key}}}, keys: []keyID{key}, sequence: 1, news: true},
		"an authority, the cursor stays":   {answers: []revocationList{{Authorities: []keyID{key}}}, keys: []keyID{key}, news: true},
		"an authority that is no more":     {answers: []revocationList{{Sequence: 1, Authorities: []keyID{key, other}}, {Sequence: 2, Authorities: []keyID{other}}}, keys: []keyID{other}, sequence: 2, news: true},
		"an authority twice":               {answers: []revocationList{{Sequence: 1, Authorities: []keyID{key}}, {Sequence: 1, Authorities: []keyID{key, key}}}, keys: []keyID{key}, sequence: 1, same: true},
		"a replica that lags behind":       {answers: []revocationList{{Sequence: 5, Serials: []serial{a}, Authorities: []keyID{key}}, {Sequence: 4, Serials: []serial{b}}}, want: []serial{a, b}, keys: []keyID{key}, sequence: 5, news: true},
		"one that lags and knows nothing":  {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 4}}, want: []serial{a}, sequence: 5, same: true},
		"a cursor that moves for nothing":  {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 9}}, want: []serial{a}, sequence: 9},
		"a new beginning":                  {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{b}, Reset: true}}, want: []serial{b}, sequence: 1, news: true},
		"a new beginning without anything": {answers: []revocationList{{Sequence: 5, Serials: []serial{a}, Authorities: []keyID{key}}, {Reset: true}}, news: true},
		"a new beginning that goes on":     {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{b}, Reset: true, More: true}}, want: []serial{a, b}, sequence: 1, news: true},
		"a new beginning, and its end":     {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{b}, Reset: true, More: true}, {Sequence: 2, Serials: []serial{c}}}, want: []serial{b, c}, sequence: 2, news: true},
		"a new beginning in another":       {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{b}, Reset: true, More: true}, {Sequence: 1, Serials: []serial{c}, Reset: true, More: true}}, want: []serial{a, c}, sequence: 1, news: true},
		"and the end of that":              {answers: []revocationList{{Sequence: 5, Serials: []serial{a}}, {Sequence: 1, Serials: []serial{b}, Reset: true, More: true}, {Sequence: 1, Serials: []serial{c}, Reset: true}}, want: []serial{c}, sequence: 1, news: true},
	} {
		t.Run(name, func(t *testing.T) {
			var r, before *revocations
			var news bool
			for i, l := range test.answers {
				before = r
				var err error
				if r, news, err = r.with(&l, now); err != nil {
					t.Fatalf("answer %d: %v", i, err)
				}
			}
			if news != test.news || (r == before) != test.same || r.cursor() != test.sequence || r.count() > len(test.want) {
				t.Errorf("news %t, same %t, cursor %d, count %d", news, r == before, r.cursor(), r.count())
			}
			if r == nil {
				return
			}
			for _, n := range []serial{a, b, c, over, justOver} {
				want := false
				for _, w := range test.want {
					want = want || n == w
				}
				if got := r.serials.has(n) || r.former.has(n); got != want {
					t.Errorf("%s: revoked %t, want %t", n, got, want)
				}
			}
			if len(r.authorities) != len(test.keys) || len(test.keys) > 0 && !r.authorities[test.keys[0]] {
				t.Errorf("authorities: %v", r.authorities)
			}
		})
	}
}

func TestWhatHasExpiredIsForgotten(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r, _, _ := (*revocations)(nil).with(&revocationList{Sequence: 1, Serials: []serial{randomSerial(now.Add(time.Hour))}}, now)
	later := now.Add(time.Hour + keepRevoked)
	if same, _, _ := r.with(&revocationList{Sequence: 1}, later); same != r {
		t.Error("forgotten too early")
	}
	next, news, err := r.with(&revocationList{Sequence: 1}, later.Add(time.Second))
	if next.count() != 0 || next.cursor() != 1 || news || err != nil {
		t.Errorf("%d left, cursor %d, news %t, %v", next.count(), next.cursor(), news, err)
	}
}

func TestMoreThanCanBeKeptIsAnError(t *testing.T) {
	now := time.Now()
	full := &revocations{sequence: 7, serials: serials{make([]serial, maxRevoked)}}
	for i := range full.serials[0] {
		full.serials[0][i] = serial{0xf0, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
	}
	n := randomSerial(now.Add(time.Hour))
	if next, news, err := full.with(&revocationList{Sequence: 8, Serials: []serial{n}}, now); !errors.Is(err, errTooMany) || next != full || news {
		t.Errorf("news %t, %v", news, err)
	}
}

func TestWhichRevocationsAreKept(t *testing.T) {
	now := time.Now()
	many := func(n int) (l []serial) {
		for range n {
			l = append(l, randomSerial(now.Add(time.Hour)))
		}
		return l
	}
	apply := func(lists ...*revocationList) (r *revocations) {
		for _, l := range lists {
			r, _, _ = r.with(l, now)
		}
		return r
	}
	for name, test := range map[string]struct {
		r           *revocations
		serials     int
		authorities int
		sequence    uint64
	}{
		"all of a short list": {
			r:       apply(&revocationList{Sequence: 5, Serials: many(3), Authorities: []keyID{{1}, {2}}}),
			serials: 3, authorities: 2, sequence: 5,
		},
		"no certificate of a long one": {
			r:           apply(&revocationList{Sequence: 5, Serials: many(maxKept + 1), Authorities: []keyID{{1}}}),
			authorities: 1,
		},
		"both lists while the CA begins anew, to be asked for again": {
			r:       apply(&revocationList{Sequence: 5, Serials: many(3)}, &revocationList{Sequence: 2, Serials: many(2), Reset: true, More: true}),
			serials: 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := test.r.kept()
			if len(l.Serials) != test.serials || len(l.Authorities) != test.authorities || l.Sequence != test.sequence {
				t.Errorf("%d certificates, %d authorities, sequence %d", len(l.Serials), len(l.Authorities), l.Sequence)
			}
			for _, n := range l.Serials {
				if !test.r.serials.has(n) && !test.r.former.has(n) {
					t.Errorf("%s was not revoked", n)
				}
			}
		})
	}
	if (*revocations)(nil).kept() != nil {
		t.Error("something of nothing")
	}
}
