package client

import (
	"crypto/tls"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestACertificateWithoutItsKeyIsNobody shows a listener the certificate of a good peer, which
// everybody can have, and signs with another key.
func TestACertificateWithoutItsKeyIsNobody(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(m *moded) {
				l := m.here.Listener(nil, ListenerConfig{Authorize: anyone, MinVersion: version})
				defer l.Close()
				here, there := net.Pipe()
				stolen := *must(m.healthy.Certificate())
				stolen.PrivateKey = newTestKey()
				go func() {
					defer there.Close()
					conn := tls.Client(there, &tls.Config{
						InsecureSkipVerify: true, Certificates: []tls.Certificate{stolen}, MaxVersion: version,
					})
					conn.Handshake()
					conn.Read(make([]byte, 1))
				}()
				conn := l.Server(here)
				if security, _ := ConnSecurity(conn); security != "" {
					t.Errorf("before: %q", security)
				}
				here.SetDeadline(time.Now().Add(time.Second))
				if conn.Handshake() == nil {
					t.Fatal("a thief is let in")
				}
				if security, peer := ConnSecurity(conn); security != "" || !peer.ID.IsZero() {
					t.Errorf("after: %q, %s", security, peer.ID)
				}
				if security, peer := ConnSecurity(conn.NetConn()); security != "" || !peer.ID.IsZero() {
					t.Errorf("below: %q, %s", security, peer.ID)
				}
				conn.Close()
				synctest.Wait()
			})
		})
	}
}
