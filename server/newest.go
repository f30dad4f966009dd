package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Newest answers the holder of a certificate with the newest one that there is for the same
// SPIFFE ID and the same key: a successor that Pando has made by itself, or the presented one
// again. The certificate presented must be this CA's, unexpired and not revoked. That a successor
// has been asked for is noted: without that, it has none itself.
func (s *Service) Newest(ctx context.Context, caller policy.Caller) (*Issued, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpGetNewest); err != nil {
		return nil, err
	}
	if caller.Method != policy.MethodPeer {
		return nil, permissionDenied("the certificate that there may be a newer one of is required")
	}
	if err := s.limit(caller, 1, now); err != nil {
		return nil, err
	}
	newest, err := s.presented(ctx, caller)
	if err != nil {
		return nil, err
	}
	if s.holdings != nil {
		if newest, err = s.successorOf(ctx, newest, now); err != nil {
			return nil, err
		}
	}
	return s.trust.Load().issued(newest, s.renewAt(newest.Profile)), nil
}

// successorOf is the newest certificate of the same holder, and notes that it is collected.
func (s *Service) successorOf(ctx context.Context, old *store.Record, now time.Time) (*store.Record, error) {
	h, err := s.holdings.Newest(ctx, old.SPIFFEID, old.KeyHash, now)
	switch {
	case errors.Is(err, store.ErrNotFound): // it has expired since it was presented
		return old, nil
	case err != nil:
		return nil, fmt.Errorf("newest certificate: %w", err)
	case issuerRevoked(s.Set(), h.Issuer): // nobody would accept it, and with it this holder could not ask again
		return old, nil
	case h.Collected || h.Method != string(policy.MethodPreRenew):
		return &h.Record, nil
	}
	if err := s.holdings.Collect(ctx, h.Serial); err != nil {
		// Its holder must not go without it for this. The next request notes it again.
		s.log.WarnContext(ctx, "not noted that a certificate was collected", "serial", ca.Serial(h.Serial).String(), "error", err)
	}
	return &h.Record, nil
}

// issuerRevoked reports whether an authority is known and revoked.
func issuerRevoked(set *ca.Set, id string) bool {
	a, known := set.Authority(id)
	return known && a.State() == ca.StateRevoked
}

// RenewalInfo is when the server wants a certificate renewed (the idea of RFC 9773).
type RenewalInfo struct {
	Renewal    ca.Window
	RetryAfter time.Duration // when to ask again, since the window may move: whole seconds, one at least
}

// RenewalInfo tells the renewal window of a recorded certificate. A workload asks for those of its
// own SPIFFE ID, with a certificate that is not revoked; an administrator for any.
func (s *Service) RenewalInfo(ctx context.Context, caller policy.Caller, serial string) (*RenewalInfo, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpRenewalInfo); err != nil {
		return nil, err
	}
	parsed, err := parseSerial(serial)
	if err != nil {
		return nil, err
	}
	ofAll := caller.Role.AtLeast(policy.RoleViewer)
	switch {
	case caller.Method == policy.MethodPeer:
		if _, err := s.presented(ctx, caller); err != nil {
			return nil, err
		}
	case !ofAll:
		return nil, permissionDenied("a certificate of the identity that is asked for, or the role %s, is required", policy.RoleViewer)
	}
	record, err := s.records.Record(ctx, store.Serial(parsed))
	switch {
	case err != nil:
		return nil, fmt.Errorf("certificate %s: %w", parsed, err)
	case !ofAll && record.SPIFFEID != caller.ID.String():
		return nil, permissionDenied("the certificate is not one of %s", caller.ID)
	}
	window := s.window(record)
	return &RenewalInfo{Renewal: window, RetryAfter: s.retryRenewalInfo(window, now)}, nil
}

// retryRenewalInfo is until the window begins, and no longer than until the trust bundle is to be
// looked for: what moves a window moves that too.
func (s *Service) retryRenewalInfo(window ca.Window, now time.Time) time.Duration {
	retry := s.Set().RefreshHint()
	if until := window.Start.Sub(now); until > 0 {
		retry = min(retry, until)
	}
	return max((retry + time.Second - 1).Truncate(time.Second), time.Second)
}
