package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/store"
)

// Store is everything that a store does.
type Store interface {
	store.Inserter
	store.Records
	store.Revocations
	store.RevocationLog
	store.Entries
	store.EntryVersions
	store.Tokens
	store.Generations
	store.Incidents
	store.KeyIntents
	store.AuthorityRequests
	store.Watcher
	store.Leases
	store.Acks
	store.CRLs
	store.Revoked
	store.Audits
	store.Identities
	store.PreRenewals
	store.Figures
	store.MTLSPolicies
	store.MTLSOverrides
	store.MTLSVersions
	store.MTLSReports
	store.Upkeep
	store.Health
	store.Snapshots
	store.Milestones
	store.Inspection
	store.Replicas
}

// Run runs the suite. open returns an empty, migrated store that is closed when its test ends.
func Run(t *testing.T, open func(*testing.T) Store) {
	RunReplicas(t, func(t *testing.T) (Store, Store) {
		s := open(t)
		return s, s
	})
}

// RunReplicas runs the suite on two stores that share a database, as two processes do. open
// returns both, empty and migrated; they are closed when their test ends.
func RunReplicas(t *testing.T, open func(*testing.T) (a, b Store)) {
	for name, test := range map[string]func(*testing.T, Store, Store){
		"an inserted record is read back as it was":                      testRoundTrip,
		"a batch is refused row by row":                                  testRefusals,
		"an empty batch is nothing":                                      testEmptyBatch,
		"a serial number is inserted once":                               testSerialTaken,
		"a serial number is inserted once by concurrent replicas":        testSerialRace,
		"a serial number that exists does not consume a credential":      testSerialTakenKeepsCredential,
		"a row that cannot be kept fails alone":                          testInvalid,
		"a join token is consumed by the row it allowed":                 testToken,
		"a refused row does not consume its credential":                  testRefusedKeepsCredential,
		"a join token twice in a batch is consumed by the first":         testTokenTwiceInBatch,
		"a join token is consumed once by fifty goroutines":              testTokenRace,
		"a JWT twice in a batch is consumed by the first":                testReplayTwiceInBatch,
		"a JWT is consumed once by fifty goroutines":                     testReplayRace,
		"many credentials in crossed order do not stop each other":       testCrossedCredentials,
		"a revocation stands":                                            testRevoke,
		"what is selected is counted and revoked":                        testRevokeSelected,
		"a large selection is revoked in parts":                          testRevokeInParts,
		"keys that are compromised are blocked with the revocation":      testCompromisedKeys,
		"an issuer that goes on signing is not revoked":                  testRevokeActiveIssuer,
		"revocations are numbered in the order of their commits":         testRevocationLog,
		"no revocation appears below a number that was read":             testRevocationLogRace,
		"the number moves with the revoked authorities":                  testRevokedAuthorities,
		"an identity that renews while it is revoked keeps nothing":      testBulkRevocationRace,
		"a key that is used while it is revoked keeps nothing":           testBulkKeyRace,
		"pruning drops no revocation of what may live":                   testPruneRevocations,
		"an acknowledged revocation is seen by every later insertion":    testRevocationRace,
		"an acknowledged block is seen by every later insertion":         testBlockRace,
		"an acknowledged deletion is seen by every later insertion":      testDeletionRace,
		"records are filtered and paged":                                 testRecords,
		"entries are created, listed and deleted":                        testEntries,
		"the entry version changes with every change":                    testEntryVersion,
		"tokens belong to an entry for join tokens":                      testTokens,
		"a generation is replaced by compare-and-swap":                   testGenerations,
		"one of many replacements of a generation wins":                  testGenerationRace,
		"a generation leaves the audit rows that it is given":            testGenerationAudits,
		"an issuer that is not active is refused":                        testIssuerInactive,
		"a refusal for the issuer does not consume a credential":         testIssuerKeepsCredential,
		"an issuer that has stopped is seen by every later insertion":    testIssuerRace,
		"a key in a token is remembered until it is held":                testKeyIntents,
		"a key in a token that is held no more is doomed":                testKeyReleased,
		"a doomed key is held by nobody":                                 testKeyDoomed,
		"a key is either held or doomed, whoever is first":               testKeyRace,
		"a request keeps its key until a generation holds it":            testAuthorityRequests,
		"a lease has one holder and a higher term for the next":          testLease,
		"a lease that runs out has no holder":                            testLeaseExpires,
		"one of many takes a lease":                                      testLeaseRace,
		"a write under a lease that is lost is refused":                  testFence,
		"changes of hands and fenced writes exclude each other":          testFenceRace,
		"acknowledgements are counted by certificate":                    testAcks,
		"a certificate counts until its successor has acknowledged":      testAcksOfSuccessors,
		"acknowledgements in crossed order do not stop each other":       testAcksRace,
		"a revoked certificate does not count, whichever came first":     testAcksOfRevoked,
		"facts count what is live":                                       testFacts,
		"facts are those of a slow count":                                testFactsModel,
		"pruning drops acknowledgements of expired certificates":         testPruneAcks,
		"incidents are part of the generation until they are closed":     testIncidents,
		"dependents are those whose certificates nobody has renewed":     testDependents,
		"dependents are those of a slow count":                           testDependentsModel,
		"those who watch are told of each change":                        testWatch,
		"changes leave an audit row, and what changes nothing does not":  testAudits,
		"audit rows are filtered, and paged in both orders":              testAuditFilters,
		"audit rows of concurrent replicas are one chain":                testAuditChainRace,
		"an audit row takes every text":                                  testAuditTexts,
		"preparing may be repeated, by several at once":                  testPrepare,
		"pruning drops what is old and nothing else":                     testPrune,
		"a healthy store answers":                                        testPing,
		"a context that has ended is an error":                           testContext,
		"an identity is what its newest certificate says":                testIdentities,
		"live certificates are counted by profile and issuer":            testLiveCounts,
		"what is watched is the newest certificate of each identity":     testWatched,
		"holdings are a range of SPIFFE IDs, in pages":                   testHoldings,
		"the newest certificate of a key is neither revoked nor expired": testNewest,
		"pruning drops what was collected and has expired":               testPruneCollected,
		"figures are saved under a lease":                                testFigures,
		"a CRL is replaced by compare-and-swap":                          testCRLs,
		"a CRL is replaced under a lease only":                           testCRLFence,
		"one of many replacements of a CRL wins":                         testCRLRace,
		"a CRL has changed once its shard holds another revocation":      testCRLChanged,
		"the revocations of all shards are those of the authority":       testEachRevoked,
		"a policy is set, replaced and deleted under its version":        testMTLSPolicies,
		"one of many edits of a policy that expect a version wins":       testMTLSPolicyRace,
		"there are only so many policies and names":                      testMTLSPolicyLimits,
		"an override is in force until it expires or is ended":           testMTLSOverrides,
		"there are only so many overrides in force":                      testMTLSOverrideLimit,
		"the mTLS version grows with every change":                       testMTLSVersion,
		"reports are merged, listed and counted":                         testMTLSReports,
		"reports in crossed order do not stop each other":                testMTLSReportRace,
		"pruning drops reports and overrides that are over":              testPruneMTLS,
		"pruning drops the CRLs of authorities that are gone":            testPruneCRLs,
		"milestones are noted with an audit row":                         testMilestones,
		"a snapshot is of one moment":                                    testSnapshot,
		"the schema is that of the last migration":                       testSchemaVersion,
		"replicas are seen, and forgotten":                               testReplicas,
		"leases are listed with what is left of them":                    testLeaseStates,
		"an entry is in use while its identity has a certificate":        testEntryUses,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			test(t, a, b)
		})
	}
}

// insert writes one issuance.
func insert(t *testing.T, s store.Inserter, i *store.Issuance) error {
	t.Helper()
	errs, err := s.InsertBatch(t.Context(), []*store.Issuance{i}, Now())
	if err != nil {
		t.Fatalf("InsertBatch: %v", err)
	}
	return errs[0]
}

// mustInsert writes issuances that nothing refuses.
func mustInsert(t *testing.T, s store.Inserter, batch ...*store.Issuance) {
	t.Helper()
	errs, err := s.InsertBatch(t.Context(), batch, Now())
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatalf("InsertBatch: %v", err)
	}
}

// must stops the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError reports an error that is not the one that is wanted; nil is wanted by nil.
func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// wantRecord reports whether the store has a record of the serial number, against what is
// wanted.
func wantRecord(t *testing.T, s store.Records, serial store.Serial, want bool) {
	t.Helper()
	_, err := s.Record(t.Context(), serial)
	switch {
	case want && err != nil:
		t.Errorf("record %x: %v", serial, err)
	case !want && !errors.Is(err, store.ErrNotFound):
		t.Errorf("record %x: error %v, want %v", serial, err, store.ErrNotFound)
	}
}

// wantSame reports a difference.
func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// addToken makes an entry and a token of it.
func addToken(t *testing.T, s Store, name string) store.Token {
	t.Helper()
	must(t, s.CreateEntry(t.Context(), NewEntry("e-"+name, "spiffe://example.org/"+name), NewAudit("entry.create", "e-"+name)))
	token := NewToken("t-"+name, "e-"+name)
	must(t, s.CreateToken(t.Context(), token, NewAudit("token.create", token.ID)))
	return token
}

// withToken is an issuance that consumes a token.
func withToken(token store.Token) *store.Issuance {
	i := NewIssuance("spiffe://example.org/w", Now())
	i.Method, i.EntryID, i.TokenHash = "join_token", token.EntryID, token.Hash
	return i
}

// withJWT is an issuance that consumes a JWT.
func withJWT(issuer, id string) *store.Issuance {
	i := NewIssuance("spiffe://example.org/w", Now())
	i.Method = "jwt"
	i.Replay = store.Replay{Issuer: issuer, ID: id, ExpiresAt: Now().Add(time.Minute)}
	return i
}
