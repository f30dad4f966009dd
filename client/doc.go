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
// # Two goroutines
//
//	Open ──────► valid ──── renewal due ───► renew over mutual TLS ──► valid
//	  │            ▲                             │ fails: back off, the last
//	  │            │                             │ certificate stays in use
//	  └─ enrol     └── enrol again ◄── expired ◄─┘
//	     (token, JWT)  (only if the credential can be used again)
//
// One renews, as drawn; the other follows: it holds one long poll open at the CA, which
// answers when the bundle or the renewal window changes. New roots are swapped in without a
// new certificate, and each poll tells the CA which bundle this side is on, so that it
// knows when a new root can be put to use. Every change of the snapshot is made under one
// lock and from the snapshot that it replaces, so that the sequence never goes back.
//
// Both belong to the Source and are gone when [Source.Close] returns. There is at most one
// request for a certificate at a time.
//
// A bundle that does not vouch for the own certificate is not adopted: the certificate is
// renewed at once, and the two are swapped in together.
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
