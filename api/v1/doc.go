// Package apiv1 is the wire of Pando's API, version 1: the messages of both doors and the
// gRPC services. It is generated from pando.proto, where everything is described; make
// generate makes it anew.
package apiv1
