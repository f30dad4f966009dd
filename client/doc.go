// Package client gives a Go program an identity from Pando and keeps it fresh.
//
// [Open] enrols with the CA and returns a [Source]; from there on the program only asks it
// for TLS configurations:
//
//	source, err := client.Open(ctx, client.Config{
//		Servers:         []string{"https://pando.internal:8443"},
//		TrustBundleFile: "/etc/pando/roots.pem",
//		JoinToken:       os.Getenv("PANDO_JOIN_TOKEN"),
//	})
//	…
//	server := &http.Server{TLSConfig: source.ServerTLS(client.AuthorizeID(frontend))}
//
// # One snapshot
//
// Key, certificate, chain, roots, bundle sequence and renewal window are one immutable
// snapshot behind one atomic pointer. A handshake never sees a key with another
// certificate's chain, and no lock is taken for one. A new snapshot is stored only after it
// was verified as a peer would verify it.
//
// # One goroutine
//
//	Open ──────► valid ──── renewal due ───► renew over mutual TLS ──► valid
//	  │            ▲                             │ fails: back off, the last
//	  │            │                             │ certificate stays in use
//	  └─ enrol     └── enrol again ◄── expired ◄─┘
//	     (token, JWT)  (only if the credential can be used again)
//
// It belongs to the Source and is gone when [Source.Close] returns. There is at most one
// request to the CA at a time.
//
// # Trust
//
// The connection to the CA is trusted because its certificate chains to the configured
// bundle and is spiffe://<trust domain>/pando/server, wherever it is reached; DNS has no
// say. Every answer over such a connection brings the current bundle, which replaces the
// one before if its sequence is higher.
//
// Peers are verified in VerifyConnection, which runs for resumed sessions too, against the
// roots of that moment (X509-SVID, section 5). A valid certificate of the trust domain is
// not enough: each configuration has an [Authorizer], and there is no default.
//
// # Failure
//
// A failed renewal changes nothing but [Source.Status]. After expiry handshakes fail with
// [ErrExpired] on this side rather than with an alert that blames the peer.
package client
