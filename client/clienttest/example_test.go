package clienttest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// An Example has no testing.T, and so no bubble: these run in real time, with certificates that
// live for seconds. In a test write clienttest.New(t, clienttest.Options{}) within synctest.Test.

// A certificate expires while the CA is of no help, and is replaced when it is again.
func ExampleCA_Expire() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 3 * time.Second})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	ca.Expire(source)
	_, err = source.Certificate()
	fmt.Println(errors.Is(err, client.ErrExpired))

	ca.Accept()
	for status := range source.Updates(context.Background()) {
		if !status.Expired(time.Now()) {
			break
		}
	}
	_, err = source.Certificate()
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

// The root is replaced under a server and a client that never cease to talk.
func ExampleCA_RotateRoot() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 4 * time.Second})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	self := client.AuthorizeID(source.ID())

	// The program's own connections are in the CA's network, too. In a bubble they must be.
	inner, err := ca.Network().Listen("web.test:443")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.NotFoundHandler()}
	go server.Serve(source.Listener(inner, client.ListenerConfig{Authorize: self}))
	defer server.Close()
	dialer := source.Dialer(client.DialerConfig{Authorize: self, DialContext: ca.Network().DialContext})
	caller := &http.Client{Transport: &http.Transport{DialTLSContext: dialer.DialContext}}
	defer caller.CloseIdleConnections()

	rotated := make(chan error)
	go func() { rotated <- ca.RotateRoot(context.Background()) }()
	var failures []error
	for ended := false; !ended; {
		if response, err := caller.Get("https://web.test"); err != nil {
			failures = append(failures, err)
		} else {
			response.Body.Close()
		}
		select {
		case err := <-rotated:
			fmt.Println("rotated:", err)
			ended = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Println("failures:", failures)
	// Output:
	// rotated: <nil>
	// failures: []
}

// A peer is revoked while its connection is open.
func ExampleCA_Revoke() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	peer, err := client.Open(context.Background(), ca.Config("spiffe://example.org/peer"))
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	inner, err := ca.Network().Listen("web.test:443")
	if err != nil {
		log.Fatal(err)
	}
	listener := source.Listener(inner, client.ListenerConfig{Authorize: client.AuthorizeID(peer.ID())})
	defer listener.Close()
	ended := make(chan error)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			_, err = io.Copy(conn, conn) // an echo
		}
		ended <- err
	}()
	dialer := peer.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(source.ID()), DialContext: ca.Network().DialContext})
	conn, err := dialer.DialContext(context.Background(), "tcp", "web.test:443")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "an echo")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line, err, "\n")

	fmt.Println(ca.Revoke("spiffe://example.org/peer"))
	fmt.Println(errors.Is(<-ended, client.ErrRevoked))
	// Output:
	// an echo
	// <nil>
	// 1
	// true
}

// The CA is away when a renewal is due, and restarts.
func ExampleCA_Down() {
	ca := clienttest.Start(clienttest.Options{Lifetime: 30 * time.Second})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	before := source.Status().Serial

	ca.Down()
	ca.RenewNow() // nobody hears of it
	_, err = source.Certificate()
	fmt.Println(err)

	ca.Up()
	for status := range source.Updates(context.Background()) {
		if status.Serial != before {
			break
		}
	}
	fmt.Println("renewed")
	// Output:
	// <nil>
	// renewed
}

// Any protocol works in the network, with a deadline and without.
func ExampleNetwork() {
	network := clienttest.NewNetwork()
	listener, err := network.Listen("echo.test:7")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}()
	conn, err := network.DialContext(context.Background(), "tcp", "echo.test:7")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "an echo")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line, err)
	// Output:
	// an echo
	// <nil>
}
