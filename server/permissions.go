package server

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Operation names what a caller wants to do. Both doors carry the same operations.
type Operation string

// The operations.
const (
	OpSign             Operation = "certificates.sign"
	OpRenew            Operation = "certificates.renew"
	OpGetCertificate   Operation = "certificates.get"
	OpListCertificates Operation = "certificates.list"
	OpGetNewest        Operation = "certificates.newest"
	OpRenewalInfo      Operation = "certificates.renewal_info"
	OpListIdentities   Operation = "identities.list"
	OpGetBundle        Operation = "bundle.get"
	OpTrust            Operation = "trust.get"
	OpCreateEntry      Operation = "entries.create"
	OpGetEntry         Operation = "entries.get"
	OpListEntries      Operation = "entries.list"
	OpDeleteEntry      Operation = "entries.delete"
	OpCreateJoinToken  Operation = "join_tokens.create"
	OpGetAuthority     Operation = "authorities.get"
	OpListAuthorities  Operation = "authorities.list"
	OpRequestAuthority Operation = "authorities.csr"
	OpImportAuthority  Operation = "authorities.import"
	OpListJobs         Operation = "schedule.list"
	OpRunJob           Operation = "schedule.run"

	OpRevokeCertificate Operation = "certificates.revoke"
	OpCreateRevocation  Operation = "revocations.create"

	OpPrepareAuthority  Operation = "authorities.prepare"
	OpRotateAuthority   Operation = "authorities.rotate"
	OpActivateAuthority Operation = "authorities.activate"
	OpTaintAuthority    Operation = "authorities.taint"
	OpRevokeAuthority   Operation = "authorities.revoke"

	OpCreateIncident Operation = "incidents.create"
	OpGetIncident    Operation = "incidents.get"
	OpListIncidents  Operation = "incidents.list"

	OpListAudit Operation = "audit.list"

	OpDiagnose Operation = "diagnosis.get"

	OpListMTLSPolicies  Operation = "mtls_policies.list"
	OpSetMTLSPolicy     Operation = "mtls_policies.set"
	OpDeleteMTLSPolicy  Operation = "mtls_policies.delete"
	OpListMTLSOverrides Operation = "mtls_overrides.list"
	OpStartMTLSOverride Operation = "mtls_overrides.start"
	OpEndMTLSOverride   Operation = "mtls_overrides.end"
	OpGetEffectiveMTLS  Operation = "mtls.effective"
	OpListMTLSReadiness Operation = "mtls.readiness"
	OpReportMTLS        Operation = "mtls.report"

	OpGetOverview Operation = "overview.get"
)

// Operations lists every operation.
func Operations() []Operation {
	return []Operation{
		OpSign, OpRenew, OpGetCertificate, OpListCertificates, OpGetNewest, OpRenewalInfo,
		OpListIdentities, OpGetBundle, OpTrust,
		OpCreateEntry, OpGetEntry, OpListEntries, OpDeleteEntry, OpCreateJoinToken,
		OpGetAuthority, OpListAuthorities, OpRequestAuthority, OpImportAuthority, OpListJobs, OpRunJob,
		OpRevokeCertificate, OpCreateRevocation,
		OpPrepareAuthority, OpRotateAuthority, OpActivateAuthority, OpTaintAuthority, OpRevokeAuthority,
		OpCreateIncident, OpGetIncident, OpListIncidents,
		OpListAudit, OpDiagnose,
		OpListMTLSPolicies, OpSetMTLSPolicy, OpDeleteMTLSPolicy, OpListMTLSOverrides, OpStartMTLSOverride, OpEndMTLSOverride,
		OpGetEffectiveMTLS, OpListMTLSReadiness, OpReportMTLS,
		OpGetOverview,
	}
}

// permission is who may do something.
type permission struct {
	anonymous bool        // without credentials
	workload  bool        // with any credentials
	least     policy.Role // administrators from this role on
}

// permissionFor is the whole table. What is not in it nobody may do.
func permissionFor(op Operation) permission {
	switch op {
	case OpGetBundle:
		return permission{anonymous: true}
	case OpSign, OpRenew:
		return permission{workload: true} // policy decides for which identity
	case OpTrust:
		return permission{workload: true}
	case OpGetNewest, OpRenewalInfo, OpReportMTLS:
		return permission{workload: true} // the use case asks for the certificate of the same holder
	case OpGetCertificate, OpListCertificates, OpListIdentities, OpGetEntry, OpListEntries,
		OpGetAuthority, OpListAuthorities, OpListJobs, OpGetIncident, OpListIncidents, OpListAudit, OpGetOverview, OpDiagnose,
		OpListMTLSPolicies, OpListMTLSOverrides, OpGetEffectiveMTLS, OpListMTLSReadiness:
		return permission{least: policy.RoleViewer}
	case OpCreateEntry, OpDeleteEntry, OpCreateJoinToken, OpRevokeCertificate, OpCreateRevocation,
		OpStartMTLSOverride, OpEndMTLSOverride:
		return permission{least: policy.RoleOperator}
	case OpRequestAuthority, OpImportAuthority, OpRunJob, OpPrepareAuthority, OpRotateAuthority, OpActivateAuthority, OpTaintAuthority, OpRevokeAuthority, OpCreateIncident,
		OpSetMTLSPolicy, OpDeleteMTLSPolicy:
		return permission{least: policy.RoleAdmin}
	}
	return permission{}
}

// Anonymous reports whether an operation needs no credentials.
func Anonymous(op Operation) bool { return permissionFor(op).anonymous }

// authorize refuses a caller who may not do op. A certificate that this replica knows to be
// revoked is good for nothing. An administrator's is looked up each time: administration is
// rare, and a revoked administrator must be out at once.
func (s *Service) authorize(ctx context.Context, caller policy.Caller, op Operation) error {
	p := permissionFor(op)
	switch {
	case p.anonymous:
		return nil
	case caller.Method == "":
		return &Error{Kind: KindUnauthenticated, Code: "unauthenticated", Message: "credentials are required"}
	case caller.Method == policy.MethodPeer && s.revoked.has(caller.Serial):
		return store.ErrCallerRevoked
	case p.workload:
		return nil
	case !caller.Role.AtLeast(p.least):
		return permissionDenied("%s requires the role %s", op, orNobody(p.least))
	case caller.Method == policy.MethodPeer:
		_, err := s.presented(ctx, caller)
		return err
	}
	return nil
}

func orNobody(r policy.Role) string {
	if r == policy.RoleNone {
		return "of nobody"
	}
	return string(r)
}

// presented is the record of the certificate that a caller has presented, unless it is revoked.
func (s *Service) presented(ctx context.Context, caller policy.Caller) (*store.Record, error) {
	record, err := s.records.Record(ctx, store.Serial(caller.Serial))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, permissionDenied("the presented certificate has no record")
	case err != nil:
		return nil, err
	case sha256.Sum256(record.Certificate) != caller.Fingerprint:
		return nil, errForged
	case record.Revoked != nil:
		return nil, store.ErrCallerRevoked
	}
	return record, nil
}
