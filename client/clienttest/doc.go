// Package clienttest is a test double of Pando for programs that embed package client: a CA and
// its server in memory, which speak the real wire (HTTP/JSON over TLS), with controls for all that
// a CA can do to a program. A certificate expires, a root is replaced, a peer is revoked, the CA
// is slow, away, or wrong about the time: each is one call.
//
//	func TestMyService(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			ca := clienttest.New(t, clienttest.Options{})
//			source, err := client.Open(t.Context(), ca.Config("spiffe://example.org/web"))
//			if err != nil {
//				t.Fatal(err)
//			}
//			defer source.Close()
//			…
//			ca.Expire(source)
//			…
//		})
//	}
//
// # The clock
//
// In a bubble of [testing/synctest] the clock is the bubble's: time stands still while anything is
// going on, time.Sleep(24*time.Hour) takes no time, and every instant is exact. The CA is in a
// [Network] inside the process. The program under test keeps its own connections there too, since
// a real socket is never idle in the sense of synctest: listen with [Network.Listen] instead of
// [net.Listen], and give [Network.DialContext] to [client.DialerConfig] or [net/http.Transport].
//
// Without a bubble everything works just as well, in real time: set Options.Lifetime to seconds.
// Options.Loopback puts the server on 127.0.0.1 for programs that take an address only.
//
// # What it does
//
// It enrols with join tokens ([CA.JoinToken]) and JWTs ([CA.JWT]), renews over mutual TLS, and
// answers the long poll by which clients follow: roots, revocations, renewal windows. The poll is
// the acknowledgement ([CA.Holders]). Roots rotate as Pando's do: prepared, activated with a
// cross-certificate, retired. [CA.Requests] says what was asked.
//
// A conformance test of Pando sends the same requests to the double and to the real server and
// compares the answers, with each other and with the golden files.
//
// # What it is not
//
// It is no CA. It gives any identity to whoever was given a token by the test, keeps all keys in
// memory and hands none out, listens nowhere but in memory and on loopback, and refuses to start
// in a program that is not a test binary. Beside that it differs from Pando in this: renewal
// windows start at the same place of each lifetime; there is one profile, "workload"; a workload
// gets all DNS names that it asks for; nothing is limited but the size of a request. The doors of
// administrators, gRPC and CRLs are not there.
package clienttest
