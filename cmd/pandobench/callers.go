package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	apiv1 "github.com/pando-ca/pando/api/v1"
)

// authentication is how a caller proves who it is.
type authentication string

const (
	byRenewal authentication = "mtls" // the certificate that is renewed, on a kept connection
	byJWT     authentication = "jwt"  // a new JWT for each request, on a kept connection
)

// newCallers makes the callers of a case, spread over its connections.
func newCallers(d *deployment, c benchCase, connections int) ([]caller, error) {
	certificate := &d.client
	if c.auth == byJWT {
		certificate = nil
	}
	callers := make([]caller, c.concurrent)
	for i := range callers {
		if i >= connections {
			callers[i] = callers[i%connections]
			continue
		}
		cfg, auth := d.tls(certificate), c.auth
		if c.door == "rest" {
			callers[i] = newRESTCaller(d, cfg, auth)
			continue
		}
		conn, err := grpc.NewClient(d.grpc, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
		if err != nil {
			return nil, err
		}
		callers[i] = &grpcCaller{conn, apiv1.NewCertificateServiceClient(conn), d.tokens, auth}
	}
	return callers, nil
}

type grpcCaller struct {
	conn   *grpc.ClientConn
	client apiv1.CertificateServiceClient
	tokens *tokenIssuer
	auth   authentication
}

func (c *grpcCaller) close() { c.conn.Close() }

func (c *grpcCaller) sign(ctx context.Context, requests []request) ([]string, error) {
	if c.auth == byJWT {
		token, err := c.tokens.token()
		if err != nil {
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		resp, err := c.client.SignCertificate(ctx, &apiv1.SignCertificateRequest{CsrDer: requests[0].der})
		if err != nil {
			return nil, err
		}
		return []string{resp.GetCertificateChain()}, nil
	}
	if len(requests) == 1 {
		resp, err := c.client.RenewCertificate(ctx, &apiv1.RenewCertificateRequest{CsrDer: requests[0].der})
		if err != nil {
			return nil, err
		}
		return []string{resp.GetCertificateChain()}, nil
	}
	batch := &apiv1.SignCertificatesRequest{Requests: make([]*apiv1.SignCertificateRequest, len(requests))}
	for i, r := range requests {
		batch.Requests[i] = &apiv1.SignCertificateRequest{CsrDer: r.der}
	}
	resp, err := c.client.SignCertificates(ctx, batch)
	if err != nil {
		return nil, err
	}
	chains := make([]string, len(resp.GetResults()))
	for i, result := range resp.GetResults() {
		if refused := result.GetError(); refused != nil {
			return nil, fmt.Errorf("refused: %s: %s", refused.GetCode(), refused.GetMessage())
		}
		chains[i] = result.GetCertificate().GetCertificateChain()
	}
	return chains, nil
}

type restCaller struct {
	client *http.Client
	url    string
	tokens *tokenIssuer
	auth   authentication
}

func newRESTCaller(d *deployment, cfg *tls.Config, auth authentication) *restCaller {
	return &restCaller{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 1}},
		url:    "https://" + d.rest + "/v1/certificates", tokens: d.tokens, auth: auth,
	}
}

func (c *restCaller) close() { c.client.CloseIdleConnections() }

// signRequest and signResponse are the parts of the wire shapes that the benchmark needs.
type signRequest struct {
	DER []byte `json:"csr_der"`
}

type signResponse struct {
	Chain string `json:"certificate_chain"`
}

func (c *restCaller) sign(ctx context.Context, requests []request) ([]string, error) {
	switch {
	case c.auth == byJWT:
		return c.one(ctx, "", signRequest{requests[0].der})
	case len(requests) == 1:
		return c.one(ctx, "/renew", signRequest{requests[0].der})
	}
	body := struct {
		Requests []signRequest `json:"requests"`
	}{make([]signRequest, len(requests))}
	for i, r := range requests {
		body.Requests[i].DER = r.der
	}
	var answer struct {
		Results []struct {
			Certificate *signResponse   `json:"certificate"`
			Error       json.RawMessage `json:"error"`
		} `json:"results"`
	}
	if err := c.post(ctx, "/batch", body, &answer); err != nil {
		return nil, err
	}
	chains := make([]string, len(answer.Results))
	for i, result := range answer.Results {
		if result.Certificate == nil {
			return nil, fmt.Errorf("refused: %s", result.Error)
		}
		chains[i] = result.Certificate.Chain
	}
	return chains, nil
}

func (c *restCaller) one(ctx context.Context, path string, body signRequest) ([]string, error) {
	var answer signResponse
	err := c.post(ctx, path, body, &answer)
	return []string{answer.Chain}, err
}

func (c *restCaller) post(ctx context.Context, path string, body, answer any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.auth == byJWT {
		token, err := c.tokens.token()
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= http.StatusMultipleChoices:
		return errors.New(resp.Status + ": " + string(data))
	}
	return json.Unmarshal(data, answer)
}
