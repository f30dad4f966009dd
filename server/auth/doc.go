// Package auth turns the credentials of a request into a [policy.Caller]: who asks, and by
// which method that was proven.
//
// There are three kinds of credential. A join token and a JWT arrive as a bearer credential
// (RFC 6750, section 2.1); a client certificate arrives with the TLS connection, which
// requests it but does not judge it:
//
//	bearer "pjt_…"   join token: looked up by its SHA-256
//	bearer, other    JWT: of one of the configured issuers, see [Issuer]
//	no bearer        client certificate: verified against the current trust bundle
//
// A bearer credential, when there is one, is the credential: a good token succeeds although
// the certificate beside it has expired, and a bad one is refused although the certificate is
// good. Explicit beats implicit, and nobody is authenticated as somebody whom the request
// did not name.
//
// # Keys of JWT issuers
//
// Each issuer has a keyring: an immutable snapshot of its public keys behind one atomic
// pointer, so that a verification takes no lock. [Authenticator.Run] fetches the keys anew in
// the background. A token with an unknown key ID makes one fetch at once, shared by all who
// wait, but never sooner than ten seconds after the one before. While an issuer cannot be
// reached, the keys last fetched stand in, up to [IssuerConfig].KeysMaxAge; after that its
// tokens are answered with [ReasonUnavailable], since nothing is wrong with them that we know of.
//
// # What is not decided here
//
// Whether a join token or a one-use JWT was used before is decided by the statement that
// writes the record; what a caller may have is decided by ca/policy.
package auth
