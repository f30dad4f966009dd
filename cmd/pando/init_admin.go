package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// administrator is the SPIFFE ID of the first administrator.
func (o *initOptions) administrator() (spiffeid.ID, error) {
	td, err := o.cfg.trustDomain()
	if err != nil {
		return spiffeid.ID{}, err
	}
	id, err := spiffeid.Join(td, "pando", "admin", o.admin)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("name of the administrator: %w", err)
	}
	return id, nil
}

// issueAdministrator makes the first administrator's key and certificate, unless an init that
// was interrupted made them. The certificate is issued as any other one is: recorded first.
func (o *initOptions) issueAdministrator(ctx context.Context, db database, set *ca.Set) (*x509.Certificate, error) {
	id, err := o.administrator()
	if err != nil {
		return nil, err
	}
	if leaf := usableKeyPair(o.path(o.admin+".crt"), o.path(o.admin+".key"), set, id); leaf != nil {
		return leaf, nil
	}
	return o.makeAdministrator(ctx, db, set, "pando init")
}

// makeAdministrator makes a key and a certificate for the administrator and replaces the files
// with them. subject is what the record names as the caller.
func (o *initOptions) makeAdministrator(ctx context.Context, db database, set *ca.Set, subject string) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("administrator's key: %w", err)
	}
	issued, err := o.issue(ctx, db, set, key, subject)
	if err != nil {
		return nil, fmt.Errorf("administrator's certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("administrator's key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if err := durable.ReplaceFile(o.path(o.admin+".key"), text, 0o600); err != nil {
		return nil, fmt.Errorf("administrator's key: %w", err)
	}
	if err := durable.ReplaceFile(o.path(o.admin+".crt"), []byte(issued.Chain), 0o644); err != nil {
		return nil, fmt.Errorf("administrator's certificate: %w", err)
	}
	block, _ := pem.Decode([]byte(issued.PEM))
	return x509.ParseCertificate(block.Bytes)
}

// issue asks the service for the certificate, as Pando itself.
func (o *initOptions) issue(ctx context.Context, db database, set *ca.Set, key *ecdsa.PrivateKey, subject string) (*server.Issued, error) {
	id, err := o.administrator()
	if err != nil {
		return nil, err
	}
	batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: db})
	if err != nil {
		return nil, err
	}
	defer batcher.Close()
	profiles, err := o.cfg.profiles()
	if err != nil {
		return nil, err
	}
	service, err := server.New(server.Config{
		Set: set, Issuances: batcher, Records: db, Entries: db, Tokens: db, Revocations: db, Profiles: profiles,
	})
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	caller := policy.Caller{Method: policy.MethodInternal, Subject: subject}
	want := policy.Want{ID: id, Profile: profileAdministrator}
	return service.Issue(ctx, caller, server.Request{CSR: csr, Want: want})
}

// usableKeyPair returns the certificate in the files if it and its key are whole and belong to
// this administrator of this CA, and nil otherwise.
func usableKeyPair(certFile, keyFile string, set *ca.Set, id spiffeid.ID) *x509.Certificate {
	if _, err := os.Stat(keyFile); err != nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil
	}
	found, err := set.VerifyPeer(pair.Leaf, nil, time.Now())
	if err != nil || found != id {
		return nil
	}
	return pair.Leaf
}
