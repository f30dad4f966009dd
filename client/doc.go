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
//	caller := source.HTTPClient(client.AuthorizeID(backend))
//
// # Which to use
//
// [Open] waits for an identity; [Start] is for a program that has to be there before. A
// [Listener] and a [Dialer], and what is built of them ([Source.HTTPClient],
// [Source.Transport], package client/grpc), close connections whose peer is revoked while
// they are open; [Source.ServerTLS] and [Source.ClientTLS] are for whatever takes a
// tls.Config and makes its connections by itself. Who calls is said by [PeerFrom] in a request
// behind [ConnContext], by [ConnSecurity] of a connection, and by [PeerID] of a handshake of
// ServerTLS. [Source.Status] is the state of now, [Source.Updates] a loop over those that
// matter, [Config].Notify every event, and [Config].Metrics what is counted.
// [Source.Certificate], [Source.Roots] and [VerifyPeer] are for tools, and for code that builds
// its own tls.Config. Package client/clienttest doubles Pando in tests.
//
// # One snapshot
//
// Key, certificate, chain, roots, bundle sequence, revocations and renewal window are one immutable
// snapshot behind one atomic pointer. A handshake never sees a key with another
// certificate's chain, and no lock is taken for one. A new snapshot is stored only after it
// was verified as a peer would verify it.
//
// # Three goroutines
//
//	Start, Open ──► valid ──── renewal due ───► renew over mutual TLS ──► valid
//	  │               ▲                             │ fails: back off, the last
//	  │               │                             │ certificate stays in use
//	  └─ the cache,   └── enrol again ◄── expired ◄─┘
//	     or enrol         (only if the credential can be used again)
//	     (token, JWT)
//
// One obtains and renews, as drawn; another follows: it holds one long poll open at the CA, which
// answers when the bundle, the revocations or the renewal window change. New roots are swapped in without a
// new certificate, and each poll tells the CA which bundle this side is on, so that it
// knows when a new root can be put to use. Every change of the snapshot is made under one
// lock and from the snapshot that it replaces, so that the sequence never goes back.
//
// The third checks the connections that are open, when the second has learned something. With
// a cache another one writes it, and with Config.Notify one tells the program; neither is in
// the way of the others. All belong to the Source and are gone when [Source.Close] returns. There is at most one
// request for a certificate at a time.
//
// A bundle that does not vouch for the own certificate is not adopted: the certificate is
// renewed at once, and the two are swapped in together.
//
// A [Listener] has goroutines of its own, one that accepts and one for each handshake that is
// under way, which are gone when [Listener.Close] returns.
//
// # Modes
//
// Listeners take mutual TLS only and dialers make nothing else, unless their [Mode] says
// otherwise: in code, or, for a listener in [ModePolicy], in the policy that the poll brings. A
// decision is made for each connection from what is known at that moment, and whoever
// changes what is known looks at the open plaintext connections afterwards:
//
//	code ──────────┐
//	policy of CA ──┼─► mode ─► each new connection: let in, or rejected and counted
//	overrides ─────┘     └───► open plaintext ones: closed when it allows them no more
//
// Code is a bound for all others. Plaintext of a dialer takes code and policy. Without a word
// of the CA it is the last one on disk, else strict. An override ends by this side's clock.
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
// A session that is resumed has the certificates of an earlier handshake. It is resumed only
// while these would do, so that none fails for their sake when both sides have others.
//
// # Revocation
//
// The CA says within a second what it has revoked: certificates, by their serial numbers,
// and authorities, by their keys. From then on no handshake and no resumed session succeeds
// with such a leaf, nor over a chain with such an authority, unless another chain leads to a
// root as well; the error wraps [ErrRevoked]. What has expired is forgotten.
//
// A connection that is open was let in earlier. crypto/tls does not say which connection it
// verifies, so this needs the connection itself: those of a [Listener] and a [Dialer] are
// closed, at once, when their peer would be refused by now for its identity, its chain, the
// roots or a revocation. That the peer's certificate has expired meanwhile is no reason, and
// the [Authorizer] is not asked again. With ServerTLS and ClientTLS alone an open connection
// stays open.
//
// A certificate of this side that is revoked makes handshakes fail here, and is replaced if
// the credential can be used again; it is not shown to the CA any more.
//
// A Source knows of revocations from its first poll on, milliseconds after Open has
// returned, and no connection of a Listener or a Dialer from before survives it. A CA that
// cannot be reached, or is too old to say, is no reason to refuse anybody: certificates are
// short-lived for that case. [Status] says how old the knowledge is.
//
// # Restart
//
// With Config.CacheDir a Source writes key and chain into one file, and what the CA has said
// (the bundle, the renewal window, what is revoked; the policy about modes) into others, each as a whole. The next
// start verifies them as a peer would and goes on with them, asking nobody. What does not pass is
// named in the log and not used; there is nothing in a cache that a start can fail over, but a
// directory that others can enter. The bundle and the policy of the cache count as long as the
// configured roots are those from which they were learned.
//
// # Failure
//
// A failed renewal changes nothing but [Source.Status]. After expiry handshakes fail with
// [ErrExpired] on this side rather than with an alert that blames the peer. How long a
// server asks to be left alone (Retry-After) is kept to, unless the certificate would
// expire meanwhile: then it is asked shortly before.
package client
