package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/store"
)

// InsertBatch writes the batch; see [store.Inserter].
func (s *Store) InsertBatch(ctx context.Context, batch []*store.Issuance, now time.Time) ([]error, error) {
	errs := make([]error, len(batch))
	for at, i := range batch {
		errs[at] = i.Validate()
	}
	err := s.write(ctx, "insert", func(t *tx) error {
		for at, i := range batch {
			if errs[at] != nil {
				continue
			}
			var err error
			if errs[at], err = t.insert(ctx, i, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return errs, nil
}

// insert writes one issuance or says why it is refused.
func (t *tx) insert(ctx context.Context, i *store.Issuance, now time.Time) (refused, err error) {
	inserted, err := t.exec(ctx, insertSQL,
		i.Serial[:], i.SPIFFEID, strings.Join(i.DNSNames, " "), i.Profile, i.Issuer, i.KeyHash[:], i.KeyAlgorithm,
		i.IssuedAt.UnixMicro(), i.NotBefore.UnixMicro(), i.NotAfter.UnixMicro(), i.Method, i.Caller, i.Address,
		i.EntryID, octetsOf(&i.Replaces), i.RequestID, octets(i.Certificate), octetsOf(&i.CallerSerial))
	if err != nil {
		return nil, err
	}
	if inserted == 0 {
		return t.refusal(ctx, i, now)
	}
	consumed, err := t.consume(ctx, i, now)
	if err != nil || consumed {
		return nil, err
	}
	if _, err := t.exec(ctx, insertUndoSQL, i.Serial[:]); err != nil {
		return nil, err
	}
	return t.refusal(ctx, i, now)
}

// consume takes the credential of an issuance that has just been written, if it has one.
func (t *tx) consume(ctx context.Context, i *store.Issuance, now time.Time) (bool, error) {
	var rows int64
	var err error
	switch {
	case i.HasToken():
		rows, err = t.exec(ctx, consumeTokenSQL, i.TokenHash[:], i.Serial[:], i.KeyHash[:], now.UnixMicro(), i.EntryID)
	case !i.Replay.IsZero():
		digest := i.Replay.Digest()
		rows, err = t.exec(ctx, consumeReplaySQL, digest[:], i.Replay.ExpiresAt.UnixMicro())
	default:
		return true, nil
	}
	return rows == 1, err
}

// refusal is why an issuance was not written: the first reason that holds, in the order that
// the contract of store.Inserter gives.
func (t *tx) refusal(ctx context.Context, i *store.Issuance, now time.Time) (refused, err error) {
	token, replay := []byte{}, []byte{}
	if i.HasToken() {
		token = i.TokenHash[:]
	}
	if !i.Replay.IsZero() {
		digest := i.Replay.Digest()
		replay = digest[:]
	}
	var callerRevoked, keyBlocked, entryGone, tokenUsed, tokenExpired, replayed, inactive, serialTaken bool
	err = t.queryRow(ctx, refusalsSQL, i.Serial[:], now.UnixMicro(), i.KeyHash[:], octetsOf(&i.CallerSerial), i.EntryID, token, replay, i.Issuer).
		Scan(&callerRevoked, &keyBlocked, &entryGone, &tokenUsed, &tokenExpired, &replayed, &inactive, &serialTaken)
	switch {
	case err != nil:
		return nil, err
	case callerRevoked:
		return store.ErrCallerRevoked, nil
	case keyBlocked:
		return store.ErrKeyBlocked, nil
	case entryGone:
		return store.ErrEntryGone, nil
	case tokenUsed:
		return store.ErrTokenUsed, nil
	case tokenExpired:
		return store.ErrTokenExpired, nil
	case replayed:
		return store.ErrReplayed, nil
	case inactive:
		return store.ErrIssuerInactive, nil
	case serialTaken:
		return store.ErrSerialTaken, nil
	}
	return nil, fmt.Errorf("certificate %x was refused for no reason", i.Serial)
}

// octetsOf is empty for a serial number that names no certificate.
func octetsOf(s *store.Serial) []byte {
	if s.IsZero() {
		return []byte{}
	}
	return s[:]
}

// octets makes an empty value of none: the columns take no null.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
