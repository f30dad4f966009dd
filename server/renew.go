package server

import (
	"context"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

// Renew gives the holder of a certificate a successor with the same identity, DNS names and
// profile. The certificate presented must be this CA's, unexpired and not revoked; what the
// CSR names must be what it holds already.
func (s *Service) Renew(ctx context.Context, caller policy.Caller, req Request) (*Issued, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpRenew); err != nil {
		return nil, err
	}
	if caller.Method != policy.MethodPeer {
		return nil, permissionDenied("renewal requires the certificate that is to be renewed")
	}
	if err := s.limit(caller, 1, now); err != nil {
		return nil, err
	}
	caller.Role = policy.RoleNone // an administrator, too, renews nothing but the own identity here
	if err := s.pace(ctx, caller, now); err != nil {
		return nil, err
	}
	return s.issue(ctx, caller, req, now)
}
