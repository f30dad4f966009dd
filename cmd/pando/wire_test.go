package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/pando-ca/pando/api/v1"
)

// The structs of this package must have the fields of the API's messages, all of them and no others.
func TestWireShapesAreThoseOfTheAPI(t *testing.T) {
	for name, tc := range map[string]struct {
		ours   any
		theirs proto.Message
	}{
		"certificate":   {certificateJSON{}, &apiv1.Certificate{}},
		"certificates":  {certificatePageJSON{}, &apiv1.ListCertificatesResponse{}},
		"sign request":  {signRequestJSON{}, &apiv1.SignCertificateRequest{}},
		"renew request": {renewRequestJSON{}, &apiv1.RenewCertificateRequest{}},
		"issued":        {issuedJSON{}, &apiv1.SignCertificateResponse{}},
		"renewal":       {renewalJSON{}, &apiv1.Renewal{}},
		"bundle":        {bundleJSON{}, &apiv1.Bundle{}},
		"create entry":  {createEntryJSON{}, &apiv1.CreateEntryRequest{}},
		"entry":         {entryJSON{}, &apiv1.Entry{}},
		"entries":       {entryPageJSON{}, &apiv1.ListEntriesResponse{}},
		"identity":      {identityJSON{}, &apiv1.Identity{}},
		"identities":    {identityPageJSON{}, &apiv1.ListIdentitiesResponse{}},
		"overview":      {overviewJSON{}, &apiv1.Overview{}},
		"roles":         {roleOverviewJSON{}, &apiv1.RoleOverview{}},
		"authorities":   {authorityOverviewJSON{}, &apiv1.AuthorityOverview{}},
		"profiles":      {profileOverviewJSON{}, &apiv1.ProfileOverview{}},
		"incidents":     {incidentOverviewJSON{}, &apiv1.IncidentOverview{}},
		"create token":  {createTokenJSON{}, &apiv1.CreateJoinTokenRequest{}},
		"join token":    {tokenJSON{}, &apiv1.JoinToken{}},
		"csr request":   {authorityCSRRequestJSON{}, &apiv1.RequestAuthorityRequest{}},
		"csr":           {authorityCSRJSON{}, &apiv1.RequestAuthorityResponse{}},
		"import":        {importAuthorityJSON{}, &apiv1.ImportAuthorityRequest{}},
		"imported":      {authorityListJSON{}, &apiv1.ImportAuthorityResponse{}},
		"diagnosis":     {diagnosisJSON{}, &apiv1.Diagnosis{}},
		"check":         {checkJSON{}, &apiv1.Check{}},
		"revocation":    {createRevocationJSON{}, &apiv1.CreateRevocationRequest{}},
		"revoked":       {revocationJSON{}, &apiv1.CreateRevocationResponse{}},
		"policy":        {mtlsPolicyJSON{}, &apiv1.MTLSPolicy{}},
		"policies":      {mtlsPolicyPageJSON{}, &apiv1.ListMTLSPoliciesResponse{}},
		"set policy":    {setMTLSPolicyJSON{}, &apiv1.SetMTLSPolicyRequest{}},
		"override":      {mtlsOverrideJSON{}, &apiv1.MTLSOverride{}},
		"overrides":     {mtlsOverrideListJSON{}, &apiv1.ListMTLSOverridesResponse{}},
		"start":         {startMTLSOverrideJSON{}, &apiv1.StartMTLSOverrideRequest{}},
		"effective":     {effectiveMTLSJSON{}, &apiv1.EffectiveMTLS{}},
		"rule":          {effectiveRuleJSON{}, &apiv1.EffectiveMTLSRule{}},
		"in force":      {effectiveOverrideJSON{}, &apiv1.EffectiveMTLSOverride{}},
		"readiness":     {mtlsReadinessJSON{}, &apiv1.MTLSReadiness{}},
		"all readiness": {mtlsReadinessPageJSON{}, &apiv1.ListMTLSReadinessResponse{}},
	} {
		t.Run(name, func(t *testing.T) {
			var ours, theirs []string
			for field := range reflect.TypeOf(tc.ours).Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				ours = append(ours, name)
			}
			fields := tc.theirs.ProtoReflect().Descriptor().Fields()
			for i := range fields.Len() {
				theirs = append(theirs, string(fields.Get(i).Name()))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("(-api +ours)\n%s", diff)
			}
		})
	}
}

func TestDurationsAreSecondsOnTheWire(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", time.Hour: "3600s", 90 * time.Second: "90s", 1500 * time.Millisecond: "1.5s", 90 * day: "7776000s",
	} {
		if got := wireDuration(duration(d)); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
