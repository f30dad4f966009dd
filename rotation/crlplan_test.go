package rotation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

var crlPolicy = rotation.CRLPolicy{
	Period: time.Hour, URLs: ca.URLs{CRL: "http://pando.example.org/v1/crls/{authority}/{shard}.crl"},
}

// published are the lists of all that publish in a generation, issued at planNoon.
func published(gen *store.Generation, authorities ...int) []store.CRL {
	var lists []store.CRL
	for _, place := range authorities {
		a := gen.Authorities[place]
		shards := max(a.CRLShards, 1)
		for shard := range shards {
			lists = append(lists, store.CRL{
				Authority: a.ID, Shard: shard, Shards: shards, Number: 1, Covers: gen.Number,
				ThisUpdate: planNoon.Add(-ca.MaxSkew), NextUpdate: planNoon.Add(4 * time.Hour),
			})
		}
	}
	if len(lists) > 1 && lists[0].Authority > lists[len(lists)-1].Authority { // as the store orders them
		first := lists[0].Authority
		for lists[0].Authority == first {
			lists = append(lists[1:], lists[0])
		}
	}
	return lists
}

func TestPlanCRLs(t *testing.T) {
	const shards = 3
	list := func(lists []store.CRL, gen *store.Generation, place, shard int) *store.CRL {
		for i := range lists {
			if lists[i].Authority == gen.Authorities[place].ID && lists[i].Shard == shard {
				return &lists[i]
			}
		}
		return nil
	}
	none := func(*store.Generation, []store.CRL) []store.CRL { return nil }
	for name, tt := range map[string]struct {
		after  time.Duration
		change func(gen *store.Generation, lists []store.CRL) []store.CRL
		policy func(*rotation.CRLPolicy)
		want   []string
	}{
		"all is fresh":     {after: time.Hour - time.Second},
		"nothing is there": {change: none, want: []string{"root 0/1", "intermediate 0/3", "intermediate 1/3", "intermediate 2/3"}},
		"a period has passed": {
			after: time.Hour, want: []string{"root 0/1", "intermediate 0/3", "intermediate 1/3", "intermediate 2/3"},
		},
		"a shard has changed": {
			after: time.Second, want: []string{"intermediate 1/3"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				list(l, g, oldIssuer, 1).Changed = true
				return l
			},
		},
		"what is missing comes before what has changed, and that before what is old": {
			after: time.Hour, want: []string{"intermediate 2/3", "intermediate 1/3", "root 0/1", "intermediate 0/3"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				list(l, g, oldIssuer, 1).Changed = true
				list(l, g, oldIssuer, 2).Number = 0
				return l
			},
		},
		"a large list has changed, just after it was signed": {
			after: 10*time.Second - 1,
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				list(l, g, oldIssuer, 1).Changed, list(l, g, oldIssuer, 2).Entries = true, 200_000
				return l
			},
		},
		"a large list has changed, some time after it was signed": {
			after: 10 * time.Second, want: []string{"intermediate 1/3"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				list(l, g, oldIssuer, 1).Changed, list(l, g, oldIssuer, 2).Entries = true, 200_000
				return l
			},
		},
		"a change after a list that was signed on a clock ahead": {
			after: -5 * time.Minute, want: []string{"intermediate 1/3"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				list(l, g, oldIssuer, 1).Changed = true
				return l
			},
		},
		"another generation than the list of the root knows": {
			after: time.Second, want: []string{"root 0/1"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL { g.Number++; return l },
		},
		"the intermediate has retired, and its key is gone": {
			after: 2 * time.Hour, want: []string{"root 0/1"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				g.Authorities[oldIssuer].State, g.Authorities[oldIssuer].Key = "retired", nil
				return l
			},
		},
		"the intermediate is revoked": {
			after: 2 * time.Hour, want: []string{"root 0/1"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				g.Authorities[oldIssuer].State = "revoked"
				return l
			},
		},
		"the intermediate is tainted": {
			change: func(g *store.Generation, _ []store.CRL) []store.CRL {
				g.Authorities[oldIssuer].State = "tainted"
				return nil
			},
			want: []string{"root 0/1", "intermediate 0/3", "intermediate 1/3", "intermediate 2/3"},
		},
		"the key of the root is kept elsewhere": {
			change: func(g *store.Generation, _ []store.CRL) []store.CRL { g.Authorities[oldRoot].Key = nil; return nil },
			want:   []string{"intermediate 0/3", "intermediate 1/3", "intermediate 2/3"},
		},
		"the intermediate has expired": {after: planPolicy.IntermediateLifetime, want: []string{"root 0/1"}},
		"an intermediate from before there were shards": {
			want: []string{"root 0/1", "intermediate 0/1"},
			change: func(g *store.Generation, _ []store.CRL) []store.CRL {
				g.Authorities[oldIssuer].CRLShards = 0
				return nil
			},
		},
		"no URL tells the shards apart": {
			change: none, policy: func(p *rotation.CRLPolicy) { p.URLs.CRL = "" }, want: []string{"root 0/1", "intermediate 0/1"},
		},
		"a URL from now on": {
			after: time.Second, want: []string{"intermediate 0/3", "intermediate 1/3", "intermediate 2/3"},
			change: func(g *store.Generation, l []store.CRL) []store.CRL {
				one := *list(l, g, oldIssuer, 0)
				one.Shards = 1
				both := []store.CRL{*list(l, g, oldRoot, 0), one}
				if both[0].Authority > both[1].Authority {
					both[0], both[1] = both[1], both[0]
				}
				return both
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			gen := phases(t)["steady"]
			gen.Authorities[oldIssuer].CRLShards = shards
			lists, policy := published(gen, oldRoot, oldIssuer), crlPolicy
			if tt.change != nil {
				lists = tt.change(gen, lists)
			}
			if tt.policy != nil {
				tt.policy(&policy)
			}
			due, err := rotation.PlanCRLs(gen, lists, policy, planNoon.Add(tt.after))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range due {
				role := "root"
				if d.Authority == gen.Authorities[oldIssuer].ID {
					role = "intermediate"
				}
				got = append(got, fmt.Sprintf("%s %d/%d", role, d.Shard, d.Shards))
				if d.Reason == "" {
					t.Errorf("%+v is due for no reason", d)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("due (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPreparedRootPublishes: its list is there before anything that it has signed.
func TestPreparedRootPublishes(t *testing.T) {
	gen := phases(t)["prepared"]
	due, err := rotation.PlanCRLs(gen, published(gen, oldRoot, oldIssuer), crlPolicy, planNoon)
	if err != nil || len(due) != 1 || due[0].Authority != gen.Authorities[newRoot].ID {
		t.Errorf("due: %+v, %v", due, err)
	}
}
