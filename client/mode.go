package client

import "time"

// Mode is what a [Listener] accepts, or how a [Dialer] connects.
type Mode string

// The modes of listeners. The zero value is ModeStrict.
const (
	ModeStrict     Mode = "strict"     // mutual TLS only
	ModePermissive Mode = "permissive" // mutual TLS and plaintext on one port
	ModeDisabled   Mode = "disabled"   // plaintext only; of a dialer as well
	ModePolicy     Mode = "policy"     // what the CA says; strict until it has said something
)

// The modes of dialers. The zero value is ModeMutual; ModeDisabled is one of them too.
const (
	ModeMutual Mode = "mutual" // mutual TLS
	ModeSimple Mode = "simple" // TLS to the outside, in which this side stays anonymous
)

// ListenerStatus is the state of the listeners of one name at one moment.
type ListenerStatus struct {
	Name          string    // "default" if it was given none
	Mode          Mode      // that is in force: strict, permissive or disabled; the weakest if they differ
	From          From      // who says so
	Since         time.Time // when it began to look at connections
	LastMTLS      time.Time // of the last connection in mutual TLS that was accepted; zero: none
	LastPlaintext time.Time // of the last one in plaintext that was accepted; zero: none

	OverrideExpires time.Time // when the override that is in force ends; zero: none is
	OverrideReason  string    // why there is one
}

// From is who decides on a mode.
type From string

// Who decides on a mode.
const (
	FromCode     From = "code"     // the program
	FromPolicy   From = "policy"   // a rule of the CA, or that there is none
	FromOverride From = "override" // an emergency override of the CA
	FromLocal    From = "local"    // one of the program
)
