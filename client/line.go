package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// exchangeTimeout bounds one request to one server, see also patience, so that a server that swallows
	// packets costs this much before the next is asked. An issuance takes milliseconds.
	exchangeTimeout = 10 * time.Second

	// maxAnswer is the most that is read of an answer with its header: a chain and a bundle
	// of many roots are some kilobytes, and 10 000 revocations 410.
	maxAnswer = 1 << 20

	// maxInterim is how many interim answers (RFC 9110, section 15.2) are read past.
	maxInterim = 8
)

// dialFunc opens a connection, as [net.Dialer.DialContext] does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// contact is how the two ends of a connection to the CA prove who they are.
type contact struct {
	trust     *trust           // what vouches for the server
	announced *trust           // what does so too; nil: nothing
	revoked   *revocations     // what does not count any more
	client    *tls.Certificate // what this side presents; nil: nothing
}

// verify reports why these are not the certificates of one of the CA's servers at now.
func (c contact) verify(certs []*x509.Certificate, now time.Time) error {
	err := judge{c.trust, c.revoked}.verifyServer(certs, now)
	if err != nil && c.announced != nil && (judge{c.announced, c.revoked}).verifyServer(certs, now) == nil {
		return nil
	}
	return err
}

// tls is the configuration for one connection to the CA. Go's own verification is replaced,
// not switched off: it compares host names, which say nothing here, while the identity of
// the CA's servers is a SPIFFE ID.
func (c contact) tls(serverName string) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         serverName, // for SNI alone
		InsecureSkipVerify: true,       //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verify(state.PeerCertificates, time.Now())
		},
	}
	if c.client != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.client, nil }
	}
	return config
}

// line is an open connection to one of the CA's servers, for one HTTP/1.1 exchange after
// the other. There is no http.Transport, because it dials in goroutines that outlive the
// request and so could not be waited for. A line belongs to one goroutine.
type line struct {
	conn    *tls.Conn
	limited *io.LimitedReader
	reader  *bufio.Reader
}

// openLine connects to the server of a base URL. Nothing can be sent before it is verified.
func openLine(ctx context.Context, dial dialFunc, server *url.URL, c contact) (*line, error) {
	port := server.Port()
	if port == "" {
		port = "443"
	}
	raw, err := dial(ctx, "tcp", net.JoinHostPort(server.Hostname(), port))
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	l := &line{conn: tls.Client(raw, c.tls(server.Hostname()))}
	if err := l.conn.HandshakeContext(ctx); err != nil {
		l.close()
		return nil, noAnswer(ctx, err)
	}
	l.limited = &io.LimitedReader{R: l.conn}
	l.reader = bufio.NewReader(l.limited)
	return l, nil
}

// close does not say goodbye, which could block.
func (l *line) close() { l.conn.NetConn().Close() }

// peer is the chain that the server presented.
func (l *line) peer() []*x509.Certificate { return l.conn.ConnectionState().PeerCertificates }

// ask sends a request and reads the whole answer. The line can be used again if reusable
// is true, and must be closed otherwise.
func (l *line) ask(ctx context.Context, request *http.Request) (response *http.Response, body []byte, reusable bool, err error) {
	stop := context.AfterFunc(ctx, l.close)
	response, body, err = l.exchange(request)
	if !stop() || err != nil {
		return nil, nil, false, noAnswer(ctx, err)
	}
	// What follows an answer that nobody asked for must not be taken for the next.
	return response, body, !request.Close && !response.Close && l.reader.Buffered() == 0, nil
}

func (l *line) exchange(request *http.Request) (*http.Response, []byte, error) {
	if err := request.Write(l.conn); err != nil {
		return nil, nil, fmt.Errorf("send request: %w", err)
	}
	l.limited.N = maxAnswer
	response, body, err := readResponse(l.reader, request)
	switch {
	case err != nil && l.limited.N <= 0:
		return nil, nil, fmt.Errorf("answer is over %d octets", maxAnswer)
	case err != nil:
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	return response, body, nil
}

// noAnswer names the end of ctx as the cause, if it is, rather than the connection that
// was closed because of it.
func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
	return err
}

// readResponse reads the final response and its body.
func readResponse(r *bufio.Reader, request *http.Request) (*http.Response, []byte, error) {
	for range maxInterim {
		response, err := http.ReadResponse(r, request)
		if err != nil {
			return nil, nil, err
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		return response, body, err
	}
	return nil, nil, errors.New("interim answers without end")
}
