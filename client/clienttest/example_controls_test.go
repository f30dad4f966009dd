package clienttest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// identified opens an identity; in a test that is one call, CA.Open.
func identified(ca *clienttest.CA, id string) *client.Source {
	source, err := client.Open(context.Background(), ca.Config(id))
	if err != nil {
		log.Fatal(err)
	}
	return source
}

// await waits for a status, of which the source sends one for each change that matters.
func await(source *client.Source, found func(client.Status) bool) client.Status {
	for status := range source.Updates(context.Background()) {
		if found(status) {
			return status
		}
	}
	log.Fatal("the source was closed")
	return client.Status{}
}

// A program that is configured by files and addresses gets those of the double.
func ExampleStart() {
	ca := clienttest.Start(clienttest.Options{TrustDomain: "shop.test", Loopback: true})
	defer ca.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, ca.Bundle(), 0o600); err != nil {
		log.Fatal(err)
	}

	source, err := client.Open(context.Background(), client.Config{
		Servers: []string{ca.URL()}, TrustBundleFile: roots, JoinToken: ca.JoinToken("spiffe://shop.test/web"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	fmt.Println(source.ID(), ca.TrustDomain())
	// Output: spiffe://shop.test/web shop.test
}

// A credential that can be used again.
func ExampleCA_JWT() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 30 * time.Second})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	config.JWT = ca.JWT("spiffe://example.org/web") // as Config has it already
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	first := source.Status().Serial

	ca.Revoke("spiffe://example.org/web")
	await(source, func(st client.Status) bool { return st.Serial != first && !st.Revoked })
	fmt.Println("enrolled again")
	// Output: enrolled again
}

// A peer without a Source, such as a server that is not written in Go.
func ExampleCA_Certificate() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	identity := ca.Certificate("spiffe://example.org/legacy")
	inner, err := ca.Network().Listen("legacy.test:443")
	if err != nil {
		log.Fatal(err)
	}
	legacy := tls.NewListener(inner, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*identity}})
	defer legacy.Close()
	go func() {
		if conn, err := legacy.Accept(); err == nil {
			fmt.Fprint(conn, "hello")
			conn.Close()
		}
	}()

	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()
	dialer := source.Dialer(client.DialerConfig{
		Authorize: client.AuthorizeTrustDomain(source.TrustDomain()), DialContext: ca.Network().DialContext,
	})
	conn, err := dialer.DialContext(context.Background(), "tcp", "legacy.test:443")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	_, peer := client.ConnSecurity(conn)
	fmt.Println(peer.ID)
	// Output: spiffe://example.org/legacy
}

// The steps of a rotation, each when the test says so.
func ExampleCA_PrepareRoot() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 30 * time.Second})
	defer ca.Close()
	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()
	on := func(st client.Status) bool { return st.BundleSequence == ca.Sequence() }

	ca.PrepareRoot() // published: every program learns of it
	await(source, on)
	for ca.Holders()[0].Acknowledged != ca.Sequence() { // the next poll says so
		time.Sleep(time.Millisecond)
	}
	fmt.Println(len(source.Roots()), "roots, acknowledged")

	ca.ActivateRoot() // the next certificate is under it
	before := source.Status().Serial
	ca.RenewNow()
	await(source, func(st client.Status) bool { return st.Serial != before })

	ca.RetireRoot()
	await(source, on)
	fmt.Println(len(source.Roots()), "root,", source.Roots()[0].Equal(ca.Roots()[0]))
	// Output:
	// 2 roots, acknowledged
	// 1 root, true
}

// The key of the root is known to others: it is replaced, and then nobody trusts it any more.
func ExampleCA_TaintRoot() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 30 * time.Second})
	defer ca.Close()
	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()
	before := source.Status().Serial

	ca.TaintRoot()
	await(source, func(st client.Status) bool { return st.Serial != before })
	ca.RevokeTainted()
	await(source, func(st client.Status) bool { return st.BundleSequence == ca.Sequence() })
	_, err := source.Certificate()
	fmt.Println(len(source.Roots()), err)
	// Output: 1 <nil>
}

// The same for an intermediate. The roots stay as they are.
func ExampleCA_TaintIntermediate() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 30 * time.Second})
	defer ca.Close()
	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()
	first := source.Status()

	ca.TaintIntermediate()
	second := await(source, func(st client.Status) bool { return st.Issuer != first.Issuer })
	ca.RotateIntermediate() // without haste: only what is issued from now on is under it
	fmt.Println(source.Status().Issuer == second.Issuer, second.BundleSequence == first.BundleSequence)
	// Output: true true
}

// A refusal, and what the program has asked.
func ExampleCA_Refuse() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	ca.Refuse("policy_denied", clienttest.Enrol)
	_, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	var refusal *client.ServerError
	fmt.Println(errors.As(err, &refusal) && refusal.Final())
	for _, r := range ca.Requests() {
		fmt.Println(r.Operation, r.Code)
	}
	// Output:
	// true
	// enrol policy_denied
}

// Answers that are late, lost, or never made. The program tries again, and has one certificate.
func ExampleCA_LoseAnswers() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	config.JWT, config.JoinToken = nil, ca.JoinToken("spiffe://example.org/web")
	ca.Slow(10 * time.Millisecond)
	ca.Drop(1, clienttest.Enrol)        // cut before anything is done
	ca.LoseAnswers(1, clienttest.Enrol) // then it happens, and nobody is told
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	fmt.Println(len(ca.Holders()), "certificate")
	// Output: 1 certificate
}

// Certificates of another life, dated by a clock that is slow. They begin a minute before.
func ExampleCA_Skew() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	ca.SetLifetime(10 * time.Minute)
	ca.SetRenewAt(0.8)
	ca.Skew(-2 * time.Minute)
	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()

	status := source.Status()
	fmt.Println("renewed in", time.Until(status.RenewalDue).Round(time.Minute))
	fmt.Println("expires in", time.Until(status.NotAfter).Round(time.Minute))
	// Output:
	// renewed in 5m0s
	// expires in 7m0s
}

// Policy of modes, an emergency override, and what the program says of its listeners.
func ExampleCA_SetModes() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	ca.SetModes("spiffe://example.org/web", clienttest.Rule{Name: "api", Mode: client.ModePermissive})
	source := identified(ca, "spiffe://example.org/web")
	defer source.Close()
	listener := source.Listener(nil, client.ListenerConfig{
		Name: "api", Mode: client.ModePolicy, Authorize: client.AuthorizeTrustDomain(source.TrustDomain()),
	})
	defer listener.Close()
	until := func(mode client.Mode, from client.From) {
		for l := source.Listeners()[0]; l.Mode != mode || l.From != from; l = source.Listeners()[0] {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(mode, "by", from)
	}

	until(client.ModePermissive, client.FromPolicy)
	ca.SetModes("spiffe://example.org/web", clienttest.Rule{Mode: client.ModeStrict})
	until(client.ModeStrict, client.FromPolicy)
	end := ca.Override("", clienttest.Override{Name: "api", Reason: "a drill", Lasts: time.Minute})
	until(client.ModePermissive, client.FromOverride)
	end()
	until(client.ModeStrict, client.FromPolicy)
	for len(ca.Reports()) == 0 { // the program tells at most half a minute later
		time.Sleep(time.Millisecond)
	}
	fmt.Println(ca.Reports()[0].Listeners[0].Name, "is reported")
	// Output:
	// permissive by policy
	// strict by policy
	// permissive by override
	// strict by policy
	// api is reported
}

// What is refused for a reason that a metric would have.
func ExampleCA_Roots() {
	ca, other := clienttest.Start(clienttest.Options{}), clienttest.Start(clienttest.Options{})
	defer ca.Close()
	defer other.Close()
	identity := other.Certificate("spiffe://example.org/web")
	chain := []*x509.Certificate{identity.Leaf}
	now := time.Now()
	_, err := client.VerifyPeer(chain, ca.Roots(), x509.ExtKeyUsageClientAuth, now)
	fmt.Println(client.ReasonOf(err, now))
	// Output: unknown_authority
}
