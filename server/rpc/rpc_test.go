package rpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
)

func TestHealthFollowsSetServing(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := healthpb.NewHealthClient(doors.GRPC(t, apitest.Anonymous))
	for _, service := range []string{"", apiv1.CertificateService_ServiceDesc.ServiceName} {
		for _, step := range []struct {
			serving bool
			want    healthpb.HealthCheckResponse_ServingStatus
		}{
			{false, healthpb.HealthCheckResponse_NOT_SERVING},
			{true, healthpb.HealthCheckResponse_SERVING},
			{false, healthpb.HealthCheckResponse_NOT_SERVING},
		} {
			doors.RPC.SetServing(step.serving)
			got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != step.want {
				t.Errorf("health of %q is %v, %v; want %v", service, got, err, step.want)
			}
		}
	}
}

func TestReflectionNamesTheServices(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	stream, err := reflectionpb.NewServerReflectionClient(doors.GRPC(t, apitest.Anonymous)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(list); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	want := []string{
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
		"pando.v1.AuditService",
		"pando.v1.AuthorityService", "pando.v1.CertificateService", "pando.v1.DiagnosisService", "pando.v1.EntryService", "pando.v1.IdentityService", "pando.v1.IncidentService", "pando.v1.JoinTokenService", "pando.v1.MTLSService",
		"pando.v1.OverviewService", "pando.v1.RevocationService",
		"pando.v1.ScheduleService", "pando.v1.TrustService",
	}
	slices.Sort(names)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestUnknownMethodsAnswerNobody(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	for _, method := range []string{"/pando.v1.CertificateService/Forge", "/pando.v2.CertificateService/SignCertificate"} {
		err := doors.GRPC(t, apitest.Admin).Invoke(t.Context(), method, &apiv1.GetBundleRequest{}, &apiv1.Bundle{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s answers %v", method, err)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Anonymous))
	tests := map[string]struct {
		sent string
		kept bool
	}{
		"a well-formed one is kept":    {"deploy-2026.11_22", true},
		"a short one is replaced":      {"x", false},
		"one with a space is replaced": {"abcdefgh ijkl", false},
		"one that is none is replaced": {"", false},
		"one with a quote is replaced": {`abcdefgh"ijkl`, false},
		"one of 65 octets is replaced": {strings.Repeat("a", 65), false},
		"the shortest one is kept":     {"abcdefgh", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var header metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", test.sent)
			if _, err := client.GetBundle(ctx, &apiv1.GetBundleRequest{}, grpc.Header(&header)); err != nil {
				t.Fatal(err)
			}
			got := header.Get("x-request-id")
			if len(got) != 1 || (got[0] == test.sent) != test.kept || len(got[0]) < 8 {
				t.Errorf("sent %q, got %q", test.sent, got)
			}
		})
	}
}

// TestGracefulStopRefusesWhatComesLater: a client learns that it must go elsewhere.
func TestGracefulStopRefusesWhatComesLater(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Anonymous))
	if _, err := client.GetBundle(context.Background(), &apiv1.GetBundleRequest{}); err != nil {
		t.Fatal(err)
	}
	doors.RPC.GracefulStop()
	if _, err := client.GetBundle(t.Context(), &apiv1.GetBundleRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}
