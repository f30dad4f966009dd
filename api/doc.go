// Package api holds the wire of Pando: v1/pando.proto with its generated Go, openapi.yaml,
// which server/rest generates, and in testdata the golden shape of each message. The tests
// here hold both doors to the same shapes and to the same permissions.
package api
