package rpc

import (
	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// operationOf is the operation that a method carries; empty for a method that nobody may call.
func operationOf(method string) server.Operation {
	switch method {
	case apiv1.CertificateService_SignCertificate_FullMethodName,
		apiv1.CertificateService_SignCertificates_FullMethodName:
		return server.OpSign
	case apiv1.CertificateService_RenewCertificate_FullMethodName:
		return server.OpRenew
	case apiv1.CertificateService_GetCertificate_FullMethodName:
		return server.OpGetCertificate
	case apiv1.CertificateService_ListCertificates_FullMethodName:
		return server.OpListCertificates
	case apiv1.CertificateService_GetNewestCertificate_FullMethodName:
		return server.OpGetNewest
	case apiv1.CertificateService_GetRenewalInfo_FullMethodName:
		return server.OpRenewalInfo
	case apiv1.IdentityService_ListIdentities_FullMethodName:
		return server.OpListIdentities
	case apiv1.TrustService_GetBundle_FullMethodName:
		return server.OpGetBundle
	case apiv1.TrustService_GetTrust_FullMethodName, apiv1.TrustService_WatchTrust_FullMethodName:
		return server.OpTrust
	case apiv1.AuthorityService_GetAuthority_FullMethodName:
		return server.OpGetAuthority
	case apiv1.AuthorityService_ListAuthorities_FullMethodName:
		return server.OpListAuthorities
	case apiv1.AuthorityService_RequestAuthority_FullMethodName:
		return server.OpRequestAuthority
	case apiv1.AuthorityService_ImportAuthority_FullMethodName:
		return server.OpImportAuthority
	case apiv1.ScheduleService_ListJobs_FullMethodName:
		return server.OpListJobs
	case apiv1.ScheduleService_RunJob_FullMethodName:
		return server.OpRunJob
	case apiv1.AuditService_ListAudit_FullMethodName:
		return server.OpListAudit
	case apiv1.OverviewService_GetOverview_FullMethodName:
		return server.OpGetOverview
	case apiv1.DiagnosisService_GetDiagnosis_FullMethodName:
		return server.OpDiagnose
	case apiv1.RevocationService_RevokeCertificate_FullMethodName:
		return server.OpRevokeCertificate
	case apiv1.RevocationService_CreateRevocation_FullMethodName:
		return server.OpCreateRevocation
	case apiv1.EntryService_CreateEntry_FullMethodName:
		return server.OpCreateEntry
	case apiv1.EntryService_GetEntry_FullMethodName:
		return server.OpGetEntry
	case apiv1.EntryService_ListEntries_FullMethodName:
		return server.OpListEntries
	case apiv1.EntryService_DeleteEntry_FullMethodName:
		return server.OpDeleteEntry
	case apiv1.JoinTokenService_CreateJoinToken_FullMethodName:
		return server.OpCreateJoinToken
	}
	return orderOf(method)
}

// orderOf is operationOf for what is done about authorities by hand.
func orderOf(method string) server.Operation {
	switch method {
	case apiv1.AuthorityService_PrepareAuthority_FullMethodName:
		return server.OpPrepareAuthority
	case apiv1.AuthorityService_RotateAuthority_FullMethodName:
		return server.OpRotateAuthority
	case apiv1.AuthorityService_ActivateAuthority_FullMethodName:
		return server.OpActivateAuthority
	case apiv1.AuthorityService_TaintAuthority_FullMethodName:
		return server.OpTaintAuthority
	case apiv1.AuthorityService_RevokeAuthority_FullMethodName:
		return server.OpRevokeAuthority
	case apiv1.IncidentService_CreateIncident_FullMethodName:
		return server.OpCreateIncident
	case apiv1.IncidentService_GetIncident_FullMethodName:
		return server.OpGetIncident
	case apiv1.IncidentService_ListIncidents_FullMethodName:
		return server.OpListIncidents
	}
	return modeOf(method)
}

// modeOf is operationOf for what is done about mutual TLS.
func modeOf(method string) server.Operation {
	switch method {
	case apiv1.MTLSService_ListMTLSPolicies_FullMethodName:
		return server.OpListMTLSPolicies
	case apiv1.MTLSService_SetMTLSPolicy_FullMethodName:
		return server.OpSetMTLSPolicy
	case apiv1.MTLSService_DeleteMTLSPolicy_FullMethodName:
		return server.OpDeleteMTLSPolicy
	case apiv1.MTLSService_ListMTLSOverrides_FullMethodName:
		return server.OpListMTLSOverrides
	case apiv1.MTLSService_StartMTLSOverride_FullMethodName:
		return server.OpStartMTLSOverride
	case apiv1.MTLSService_EndMTLSOverride_FullMethodName:
		return server.OpEndMTLSOverride
	case apiv1.MTLSService_GetEffectiveMTLS_FullMethodName:
		return server.OpGetEffectiveMTLS
	case apiv1.MTLSService_ListMTLSReadiness_FullMethodName:
		return server.OpListMTLSReadiness
	case apiv1.MTLSService_ReportMTLS_FullMethodName:
		return server.OpReportMTLS
	}
	return ""
}

// infrastructure reports whether a method is one of gRPC's own services, which tell nothing
// that the documentation does not: health and reflection.
func infrastructure(method string) bool {
	switch method {
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
		return true
	}
	return false
}
