// Package rest is the REST door: JSON over HTTPS, described by OpenAPI 3.1 at /openapi.yaml,
// with errors as problem documents (RFC 9457). chi routes, huma decodes and describes.
//
// A request passes through these hands, in this order: [New]'s handler gives it its number,
// its deadline and its line in the log, and survives its panics; the middleware that
// register puts before every route finds out who the caller is, before the body is read;
// huma reads and decodes the body within the limits; the handler calls one method of
// [server.Service]. errors.go is the only place where a failure becomes an HTTP status.
//
// Routes exist only through register, which takes the operation that the route carries, so
// that a route without a permission cannot come to be.
//
// [Public] is the plain HTTP door for verifiers, which serves nothing that is secret and
// takes nothing.
package rest
