// Package rpc is the gRPC door: the services of api/v1/pando.proto, reflection, and the
// standard health service.
//
// One interceptor does for every call what must be done: it gives the request its number,
// finds out who the caller is, survives panics and writes the line in the log. operations.go
// says which operation each method carries; a method that is not in it answers nobody.
// errors.go is the only place where a failure becomes a gRPC status.
package rpc
