package clienttest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/pando-ca/pando/client/clienttest"
)

// listenAndDial returns both ends of a connection, which are closed when the test ends.
func listenAndDial(t *testing.T, n *clienttest.Network) (accepted, dialed net.Conn) {
	t.Helper()
	l, err := n.Listen("test:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialed, err = n.DialContext(t.Context(), "tcp", "test:1"); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close(); dialed.Close() })
	return accepted, dialed
}

// TestConnectionsAreThoseOfPackageNet runs the suite that every net.Conn must pass.
func TestConnectionsAreThoseOfPackageNet(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		n := clienttest.NewNetwork()
		l, err := n.Listen("test:1")
		if err != nil {
			return nil, nil, nil, err
		}
		c1, err = n.DialContext(context.Background(), "tcp", "test:1")
		if err != nil {
			return nil, nil, nil, err
		}
		if c2, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close(); l.Close() }, nil
	})
}

func TestWaitingIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := listenAndDial(t, clienttest.NewNetwork())
		begun := time.Now()
		here.SetReadDeadline(begun.Add(time.Hour))
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Hour {
			t.Errorf("read: %v after %s", err, time.Since(begun))
		}
		there.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := there.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != 64<<10 || time.Since(begun) != 2*time.Hour {
			t.Errorf("write: %d, %v after %s", n, err, time.Since(begun))
		}
	})
}

func TestWhatWasSentBeforeTheEndArrives(t *testing.T) {
	here, there := listenAndDial(t, clienttest.NewNetwork())
	there.Write([]byte("farewell"))
	there.Close()
	got, err := io.ReadAll(here)
	if err != nil || !bytes.Equal(got, []byte("farewell")) {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := here.Write([]byte("x")); err == nil {
		t.Error("what nobody reads is written")
	}
}

func TestAddresses(t *testing.T) {
	n := clienttest.NewNetwork()
	if _, err := n.DialContext(t.Context(), "tcp", "web.test:443"); err == nil {
		t.Error("nobody listens, and the connection succeeds")
	}
	l, err := n.Listen("web.test:443")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen("web.test:443"); err == nil {
		t.Error("two listen at one address")
	}
	waiting, err := n.DialContext(t.Context(), "tcp", "web.test:443")
	if err != nil || waiting.RemoteAddr().String() != "web.test:443" || waiting.LocalAddr().Network() != "memory" {
		t.Fatalf("connection %v, %v", waiting, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.DialContext(ended, "tcp", "web.test:443"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("who was never accepted is not cut off")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if _, err := n.Listen("web.test:443"); err != nil {
		t.Errorf("the address is not free: %v", err)
	}
}

func TestNobodyAcceptsForever(t *testing.T) {
	n := clienttest.NewNetwork()
	l, err := n.Listen("web.test:443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 1000 {
		conn, err := n.DialContext(t.Context(), "tcp", "web.test:443")
		if err != nil {
			if i < 100 {
				t.Errorf("refused after %d", i)
			}
			return
		}
		defer conn.Close()
	}
	t.Error("a thousand connections wait to be accepted")
}
