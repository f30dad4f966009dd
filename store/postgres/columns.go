package postgres

import (
	"strings"
	"time"

	"github.com/pando-ca/pando/store"
)

// columns are issuances turned on their side: one array for each parameter of insert.sql.
type columns struct {
	serial, keyHash, replaces, certificate, callerSerial [][]byte

	spiffeID, dnsNames, profile, issuer, keyAlgorithm, method, caller, address, entryID, requestID []string

	issuedAt, notBefore, notAfter []time.Time
}

func newColumns(rows []placed) *columns {
	// One allocation for each type, cut into the arrays.
	n := len(rows)
	octets := make([][]byte, 5*n)
	texts := make([]string, 10*n)
	times := make([]time.Time, 3*n)
	c := &columns{
		serial: octets[:n], keyHash: octets[n : 2*n], replaces: octets[2*n : 3*n],
		certificate: octets[3*n : 4*n], callerSerial: octets[4*n:],

		spiffeID: texts[:n], dnsNames: texts[n : 2*n], profile: texts[2*n : 3*n], issuer: texts[3*n : 4*n],
		keyAlgorithm: texts[4*n : 5*n], method: texts[5*n : 6*n], caller: texts[6*n : 7*n],
		address: texts[7*n : 8*n], entryID: texts[8*n : 9*n], requestID: texts[9*n:],

		issuedAt: times[:n], notBefore: times[n : 2*n], notAfter: times[2*n:],
	}
	for at, p := range rows {
		c.set(at, p.Issuance)
	}
	return c
}

func (c *columns) set(at int, i *store.Issuance) {
	c.serial[at] = i.Serial[:]
	c.spiffeID[at] = i.SPIFFEID
	c.dnsNames[at] = strings.Join(i.DNSNames, " ")
	c.profile[at] = i.Profile
	c.issuer[at] = i.Issuer
	c.keyHash[at] = i.KeyHash[:]
	c.keyAlgorithm[at] = i.KeyAlgorithm
	c.issuedAt[at] = i.IssuedAt
	c.notBefore[at] = i.NotBefore
	c.notAfter[at] = i.NotAfter
	c.method[at] = i.Method
	c.caller[at] = i.Caller
	c.address[at] = i.Address
	c.entryID[at] = i.EntryID
	c.replaces[at] = octetsOf(&i.Replaces)
	c.requestID[at] = i.RequestID
	c.certificate[at] = i.Certificate
	c.callerSerial[at] = octetsOf(&i.CallerSerial)
}

// arguments are the parameters of insert.sql, in their order.
func (c *columns) arguments() []any {
	return []any{
		c.serial, c.spiffeID, c.dnsNames, c.profile, c.issuer, c.keyHash, c.keyAlgorithm, c.issuedAt, c.notBefore,
		c.notAfter, c.method, c.caller, c.address, c.entryID, c.replaces, c.requestID, c.certificate,
		c.callerSerial,
	}
}

// credentials are the further parameters of insert_once.sql.
type credentials struct {
	token, replay   [][]byte
	replayExpiresAt []time.Time
}

func newCredentials(rows []placed) *credentials {
	c := &credentials{
		token:           make([][]byte, len(rows)),
		replay:          make([][]byte, len(rows)),
		replayExpiresAt: make([]time.Time, len(rows)),
	}
	for at, p := range rows {
		c.token[at], c.replay[at] = tokenOf(p.Issuance), replayOf(p.Issuance)
		c.replayExpiresAt[at] = p.Replay.ExpiresAt
	}
	return c
}

func (c *credentials) arguments(now time.Time) []any {
	return []any{c.token, c.replay, c.replayExpiresAt, now}
}

// octetsOf is empty for a serial number that names no certificate.
func octetsOf(s *store.Serial) []byte {
	if s.IsZero() {
		return []byte{}
	}
	return s[:]
}

// tokenOf is empty when the issuance consumes no join token.
func tokenOf(i *store.Issuance) []byte {
	if !i.HasToken() {
		return []byte{}
	}
	return i.TokenHash[:]
}

// replayOf is empty when the issuance consumes no JWT.
func replayOf(i *store.Issuance) []byte {
	if i.Replay.IsZero() {
		return []byte{}
	}
	digest := i.Replay.Digest()
	return digest[:]
}
