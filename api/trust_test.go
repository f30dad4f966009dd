package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/rest"
	"github.com/pando-ca/pando/store"
)

// patience is far above what anything here takes, and below the longest wait.
const patience = 15 * time.Second

// streamPermissions is what each role gets from the methods that answer with a stream, in the
// order of apitest.Roles.
func streamPermissions() map[string][5]string {
	return map[string][5]string{apiv1.TrustService_WatchTrust_FullMethodName: {anon, ok, ok, ok, ok}}
}

func TestWhoMayWatch(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	for i, role := range apitest.Roles() {
		_, err := watch(t, doors.GRPC(t, role), 0).Recv()
		got := ok
		if info, _ := errorInfo(err); info != nil {
			got = info.GetReason()
		}
		if want := streamPermissions()[apiv1.TrustService_WatchTrust_FullMethodName][i]; got != want {
			t.Errorf("%s gets %s (%v), want %s", role, got, err, want)
		}
	}
}

func watch(t *testing.T, conn *grpc.ClientConn, after uint64) grpc.ServerStreamingClient[apiv1.WatchTrustResponse] {
	t.Helper()
	stream, err := apiv1.NewTrustServiceClient(conn).WatchTrust(t.Context(), &apiv1.WatchTrustRequest{After: after})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// acknowledged tells what is acknowledged.
type acknowledged chan store.Ack

func (a acknowledged) Acknowledge(_ context.Context, acks []store.Ack) error {
	for _, ack := range acks {
		a <- ack
	}
	return nil
}

// await returns once the certificate of a role has acknowledged sequence.
func (a acknowledged) await(t *testing.T, sequence uint64) {
	t.Helper()
	for {
		select {
		case ack := <-a:
			if ack.Sequence == sequence {
				return
			}
		case <-time.After(patience):
			t.Fatalf("sequence %d is not acknowledged", sequence)
		}
	}
}

// answer is what a poll came to.
type answer struct {
	sequence uint64
	renewal  bool
	err      error
}

// pollREST asks in the background. ask is "?after=1&wait=30s".
func pollREST(t *testing.T, client *http.Client, url, ask string) <-chan answer {
	t.Helper()
	out := make(chan answer, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/trust"+ask, nil)
		if err != nil {
			out <- answer{err: err}
			return
		}
		response, err := client.Do(request)
		if err != nil {
			out <- answer{err: err}
			return
		}
		defer response.Body.Close()
		var body struct {
			Bundle  struct{ Sequence uint64 }
			Renewal *struct{ Start time.Time }
		}
		err = json.NewDecoder(response.Body).Decode(&body)
		out <- answer{body.Bundle.Sequence, body.Renewal != nil, err}
	}()
	return out
}

func pollGRPC(t *testing.T, conn *grpc.ClientConn, after uint64) <-chan answer {
	t.Helper()
	out := make(chan answer, 1)
	go func() {
		ask := &apiv1.GetTrustRequest{After: after, Wait: durationpb.New(server.MaxTrustWait)}
		got, err := apiv1.NewTrustServiceClient(conn).GetTrust(t.Context(), ask)
		out <- answer{got.GetBundle().GetSequence(), got.GetRenewal() != nil, err}
	}()
	return out
}

func (a answer) check(t *testing.T, door string, sequence uint64) {
	t.Helper()
	if a.err != nil || a.sequence != sequence || !a.renewal {
		t.Errorf("%s answers %+v, want sequence %d and a window", door, a, sequence)
	}
}

func await(t *testing.T, polls <-chan answer) answer {
	t.Helper()
	select {
	case got := <-polls:
		return got
	case <-time.After(patience):
		t.Fatal("a poll is not answered")
		return answer{}
	}
}

// TestPollsWakeAtBothDoors: that the first sequence is acknowledged shows that the poll waits.
func TestPollsWakeAtBothDoors(t *testing.T) {
	acks := make(acknowledged, 100)
	doors := apitest.New(t, apitest.Options{Acks: acks})
	overHTTP := pollREST(t, doors.HTTP(t, apitest.Workload), doors.URL, "?after=1&wait=30s")
	acks.await(t, 1)
	overRPC := pollGRPC(t, doors.GRPC(t, apitest.Viewer), 1)
	acks.await(t, 1)
	stream := watch(t, doors.GRPC(t, apitest.Operator), 1)
	first, err := stream.Recv()
	if err != nil || first.GetBundle().GetSequence() != 1 {
		t.Fatalf("the first message is %v, %v", first, err)
	}
	adopt(t, doors, doors.PKI.Prepare(t).Set())
	await(t, overHTTP).check(t, "REST", 2)
	await(t, overRPC).check(t, "gRPC", 2)
	second, err := stream.Recv()
	if err != nil || second.GetBundle().GetSequence() != 2 || second.GetRenewal() == nil {
		t.Errorf("the second message is %v, %v", second, err)
	}
}

func adopt(t *testing.T, doors *apitest.Doors, set *ca.Set) {
	t.Helper()
	if err := doors.Service.Adopt(set, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// TestTimeoutsDoNotCutAWait: neither the limit on the time of a request nor that on its arrival
// counts while a client waits, in either version of HTTP.
func TestTimeoutsDoNotCutAWait(t *testing.T) {
	const limit = 50 * time.Millisecond
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	for _, version := range []http.Protocols{one, two} {
		t.Run(version.String(), func(t *testing.T) {
			doors := apitest.New(t, apitest.Options{})
			handler, err := rest.New(rest.Config{Service: doors.Service, Auth: doors.Auth, RequestTimeout: limit})
			if err != nil {
				t.Fatal(err)
			}
			s := rest.Server(handler, doors.ServerTLS(t), slog.New(slog.DiscardHandler))
			s.ReadTimeout, s.Protocols = limit, &version
			client := doors.HTTP(t, apitest.Workload)
			client.Transport.(*http.Transport).Protocols = &version
			url := serveREST(t, s)
			start := time.Now()
			got := await(t, pollREST(t, client, url, "?after=1&wait=300ms"))
			got.check(t, "REST", 1)
			if waited := time.Since(start); waited < 300*time.Millisecond {
				t.Errorf("the wait was over after %s", waited)
			}
		})
	}
}

// serveREST serves until the test ends, and returns the URL.
func serveREST(t *testing.T, s *http.Server) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.ServeTLS(listener, "", "") // ends with the test
	}()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return "https://" + listener.Addr().String()
}

// TestAStopEndsWaitsAtOnce: polls are answered with what there is, streams invite to come back.
func TestAStopEndsWaitsAtOnce(t *testing.T) {
	for name, stop := range map[string]func(context.Context, *apitest.Doors, *http.Server) error{
		"REST": func(ctx context.Context, _ *apitest.Doors, s *http.Server) error { return s.Shutdown(ctx) },
		"gRPC": func(_ context.Context, doors *apitest.Doors, _ *http.Server) error {
			doors.RPC.GracefulStop()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			acks := make(acknowledged, 100)
			doors := apitest.New(t, apitest.Options{Acks: acks})
			handler, err := rest.New(rest.Config{Service: doors.Service, Auth: doors.Auth})
			if err != nil {
				t.Fatal(err)
			}
			s := rest.Server(handler, doors.ServerTLS(t), slog.New(slog.DiscardHandler))
			overHTTP := pollREST(t, doors.HTTP(t, apitest.Workload), serveREST(t, s), "?after=1&wait=30s")
			acks.await(t, 1)
			overRPC := pollGRPC(t, doors.GRPC(t, apitest.Viewer), 1)
			acks.await(t, 1)
			stream := watch(t, doors.GRPC(t, apitest.Operator), 1)
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			start := time.Now()
			if err := stop(ctx, doors, s); err != nil {
				t.Errorf("the stop: %v", err)
			}
			await(t, overHTTP).check(t, "REST", 1)
			await(t, overRPC).check(t, "gRPC", 1)
			_, err = stream.Recv()
			if info, retry := errorInfo(err); info.GetReason() != "unavailable" || retry == nil {
				t.Errorf("the stream ends with %v", err)
			}
			if took := time.Since(start); took > patience/2 {
				t.Errorf("the stop took %s", took)
			}
		})
	}
}

// TestWhoMayNotWaitIsToldWhenToAskAgain: beyond the limit there is still an answer for who has
// something to learn.
func TestWhoMayNotWaitIsToldWhenToAskAgain(t *testing.T) {
	acks := make(acknowledged, 100)
	doors := apitest.New(t, apitest.Options{Acks: acks, Polls: server.PollLimits{PerIdentity: 1}})
	client := doors.HTTP(t, apitest.Workload)
	waiting := watch(t, doors.GRPC(t, apitest.Workload), 1)
	if _, err := waiting.Recv(); err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[string]string{"?after=1&wait=1s": "rate_limited", "?after=1": ok, "?wait=1s": ok} {
		status, body, code := overREST(t, doors, client, request{httpMethod: http.MethodGet, path: "/v1/trust" + ask})
		if code != want {
			t.Errorf("%s is answered %d: %s", ask, status, body)
		}
	}
	for _, bad := range []string{"?after=-1", "?after=x", "?wait=x", "?wait=-1s", "?since=1"} {
		if status, body, code := overREST(t, doors, client, request{httpMethod: http.MethodGet, path: "/v1/trust" + bad}); code != "invalid_request" {
			t.Errorf("%s is answered %d: %s", bad, status, body)
		}
	}
	_, err := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Viewer)).GetTrust(t.Context(),
		&apiv1.GetTrustRequest{After: 1, Wait: durationpb.New(-time.Second)})
	if info, _ := errorInfo(err); info.GetReason() != "invalid_request" {
		t.Errorf("a negative wait is answered %v", err)
	}
}
