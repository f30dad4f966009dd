package clienttest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const web = "spiffe://example.org/web"

// open opens an identity that is closed when the test ends.
func open(t *testing.T, cfg client.Config) *client.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	source, err := client.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// pass lets time pass, and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func TestTheClockOfABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		source := open(t, ca.Config(web))
		first := source.Status()
		if first.ID.String() != web || first.NotAfter.Sub(first.NotBefore) != time.Hour ||
			!first.RenewalDue.Equal(first.NotBefore.Add(30*time.Minute)) {
			t.Fatalf("status: %+v", first)
		}
		pass(time.Until(first.RenewalDue) - 1)
		if st := source.Status(); st.Serial != first.Serial || !st.Following {
			t.Fatalf("a nanosecond before the window: %+v", st)
		}
		pass(1)
		if st := source.Status(); st.Serial == first.Serial || !st.LastSuccess.Equal(first.RenewalDue) {
			t.Fatalf("at its start: %+v", st)
		}
		pass(24 * time.Hour)
		if st := source.Status(); st.LastError != nil || st.Expired(time.Now()) || !st.Following {
			t.Errorf("a day later: %+v", st)
		}
	})
}

func TestARotationOfTheRootTakesALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		source, known := open(t, ca.Config(web)), ca.Sequence()
		begun := time.Now()
		if err := ca.RotateRoot(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		pass(time.Minute)
		st := source.Status()
		if st.BundleSequence != known+2 || len(source.Roots()) != 1 || !source.Roots()[0].Equal(ca.Roots()[0]) || st.LastError != nil {
			t.Errorf("in the end: %+v", st)
		}
		if took < 58*time.Minute || took > 61*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestARotationWaitsForWhoHasNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		open(t, ca.Config(web))
		pass(time.Minute)
		ca.Refuse("unavailable", clienttest.Poll)
		ca.Refuse("unavailable", clienttest.Renew)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		// The poll that is held is answered, the acknowledgement of that is refused.
		if err := ca.RotateRoot(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "spread") {
			t.Errorf("error %v", err)
		}
		if len(ca.Roots()) != 2 {
			t.Errorf("%d roots", len(ca.Roots()))
		}
	})
}

func TestARotationDoesNotWaitForTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		source := open(t, ca.Config(web))
		pass(time.Minute)
		source.Close()
		begun := time.Now()
		if err := ca.RotateRoot(t.Context()); err != nil || time.Since(begun) > time.Hour {
			t.Errorf("rotated: %v after %s", err, time.Since(begun))
		}
	})
}

func TestWhatIsAskedIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		cfg := ca.Config(web)
		cfg.JWT, cfg.JoinToken, cfg.DNSNames = nil, ca.JoinToken(web), []string{"web.example.org"}
		ca.LoseAnswers(1)
		source := open(t, cfg)
		pass(0)
		serial := source.Status().Serial
		got := ca.Requests()
		if len(got) < 3 {
			t.Fatalf("requests: %+v", got)
		}
		for i := range got {
			got[i].At = time.Time{}
		}
		want := []clienttest.Request{
			{Operation: clienttest.Enrol, ID: web, Issued: serial, Code: "lost"},
			{Operation: clienttest.Enrol, ID: web, Issued: serial, Code: "ok"},
			{Operation: clienttest.Poll, ID: web, Serial: serial, After: ca.Sequence(), Wait: time.Second, Revocations: true, MTLS: true, Code: "ok"},
		}
		if diff := cmp.Diff(want, got[:3]); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		holders := ca.Holders()
		if len(holders) != 1 || holders[0].Serial != serial || holders[0].Acknowledged != ca.Sequence() ||
			holders[0].Issuer != source.Status().Issuer || holders[0].Certificate.DNSNames[0] != "web.example.org" {
			t.Errorf("holders: %+v", holders)
		}
	})
}

func TestCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{TrustDomain: "example.net"})
		cfg := ca.Config("spiffe://example.net/web")
		cfg.JWT, cfg.Certificate = nil, ca.Certificate("spiffe://example.net/web")
		source := open(t, cfg)
		pass(time.Minute)
		if st := source.Status(); st.Serial == "" || st.LastError != nil || st.BundleSequence != ca.Sequence() {
			t.Errorf("status: %+v", st)
		}
		// A peer without a Source.
		here, there := listenAndDial(t, ca.Network())
		peer := tls.Client(there, &tls.Config{
			Certificates: []tls.Certificate{*ca.Certificate("spiffe://example.net/peer")}, InsecureSkipVerify: true,
		})
		server := tls.Server(here, source.ServerTLS(client.AuthorizePath(ca.TrustDomain(), "/peer")))
		go peer.Write([]byte("x"))
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

func TestLoopback(t *testing.T) {
	ca := clienttest.New(t, clienttest.Options{Loopback: true, Lifetime: 2 * time.Second})
	cfg := ca.Config(web)
	if cfg.DialContext != nil || !strings.HasPrefix(ca.URL(), "https://127.0.0.1:") {
		t.Errorf("configuration: %+v", cfg)
	}
	source := open(t, cfg)
	first := source.Status().Serial
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for st := range source.Updates(ctx) {
		if st.Serial != first {
			break
		}
	}
	ca.Down()
	ca.Up()
	ca.Expire(source)
	if _, err := source.Certificate(); !errors.Is(err, client.ErrExpired) {
		t.Errorf("error %v", err)
	}
}

func TestMisusePanics(t *testing.T) {
	for name, misuse := range map[string]func(ca *clienttest.CA){
		"an ID of another trust domain":   func(ca *clienttest.CA) { ca.Config("spiffe://example.com/web") },
		"the ID of the trust domain":      func(ca *clienttest.CA) { ca.JoinToken("spiffe://example.org") },
		"no ID":                           func(ca *clienttest.CA) { ca.Certificate("web") },
		"an unknown code":                 func(ca *clienttest.CA) { ca.Refuse("go away") },
		"a lifetime under a second":       func(ca *clienttest.CA) { ca.SetLifetime(time.Millisecond) },
		"a renewal before there is one":   func(ca *clienttest.CA) { ca.SetRenewAt(0) },
		"two prepared roots":              func(ca *clienttest.CA) { ca.PrepareRoot(); ca.PrepareRoot() },
		"an activation of nothing":        func(ca *clienttest.CA) { ca.ActivateRoot() },
		"a retirement of nothing":         func(ca *clienttest.CA) { ca.RetireRoot() },
		"the modes of no workload":        func(ca *clienttest.CA) { ca.SetModes("web") },
		"a mode of dialers":               func(ca *clienttest.CA) { ca.SetModes(web, clienttest.Rule{Mode: client.ModeMutual}) },
		"an override without end":         func(ca *clienttest.CA) { ca.Override(web, clienttest.Override{}) },
		"an override of two hours":        func(ca *clienttest.CA) { ca.Override(web, clienttest.Override{Lasts: 2 * time.Hour}) },
		"an override of no side":          func(ca *clienttest.CA) { ca.Override(web, clienttest.Override{Side: "in", Lasts: time.Hour}) },
		"a revocation of nothing tainted": func(ca *clienttest.CA) { ca.RevokeTainted() },
		"a trust domain that is none":     func(*clienttest.CA) { clienttest.Start(clienttest.Options{TrustDomain: "Example"}) },
	} {
		t.Run(name, func(t *testing.T) {
			ca := clienttest.New(t, clienttest.Options{})
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			misuse(ca)
		})
	}
}

// TestItRefusesToBeACA builds a program that is no test.
func TestItRefusesToBeACA(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "run", "./testdata/production").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: clienttest: ") || !strings.Contains(string(out), "test binaries only") {
		t.Errorf("it ran: %v\n%s", err, out)
	}
}
