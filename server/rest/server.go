package rest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// What a connection may cost before its request has reached a handler.
const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout bounds header and body together, above the body's own limit.
	readTimeout = 20 * time.Second
	// writeTimeout leaves room for the request timeout, the longest wait for a trust bundle, and
	// a slow reader.
	writeTimeout = 90 * time.Second
	// idleTimeout is above the pause between two renewals of a client that keeps its
	// connection only by chance, and below what connection trackers forget.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes is enough for the largest JWT that is accepted, and a few names.
	maxHeaderBytes = 32 << 10
	// maxStreams is how many requests one HTTP/2 connection may have open.
	maxStreams = 250
)

// Server returns an HTTP server with the limits of a door that strangers knock at. Without a
// TLS configuration it is for plain HTTP. Its owner serves and shuts down; a shutdown ends
// first the waiting of those who wait at a handler of [New].
func Server(handler http.Handler, tlsConfig *tls.Config, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // failed handshakes of strangers
	}
	if waited, ok := handler.(interface{ Drain() }); ok {
		s.RegisterOnShutdown(waited.Drain)
	}
	return s
}
