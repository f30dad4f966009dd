package client

import (
	"fmt"
	"net"
)

// StartPando runs a fake Pando on a loopback address for the examples, which gives every
// caller the identity id. It returns a configuration to open a Source with.
func StartPando(id string) (cfg Config, stop func()) {
	f := newFakePando(func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) })
	f.id = id
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	return Config{
		Servers: []string{"https://" + l.Addr().String()}, TrustBundle: f.bundle(), JoinToken: "pjt_" + id[len("spiffe://example.org/"):],
	}, f.serve(l, "spiffe://example.org/pando/server")
}
