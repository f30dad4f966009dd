package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// requestName is the file in the data directory with the request for the first intermediate.
const requestName = "intermediate.csr"

// request makes the key of the first intermediate and the request for it, if the root is kept
// elsewhere and nothing has been signed yet; then init ends here, and its claim stays. It returns
// nil when init is to go on.
func (o *initOptions) request(ctx context.Context, db database, v *vault, now time.Time) (*initResult, error) {
	if !o.offlineRoot || o.importFile != "" {
		return nil, nil
	}
	_, err := db.Generation(ctx)
	if !errors.Is(err, store.ErrNotFound) {
		return nil, describeDatabase(err)
	}
	importer, err := newImporter(&o.cfg, db, v)
	if err != nil {
		return nil, err
	}
	request, err := importer.Request(ctx, false, "pando init", now)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request.CSR})
	if err := durable.ReplaceFile(o.path(requestName), text, 0o644); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	r := o.result(nil, nil)
	r.Request = o.path(requestName)
	return r, nil
}

// newGeneration is the first generation: with a root of its own, or with what a root that is kept
// elsewhere has signed.
func (o *initOptions) newGeneration(ctx context.Context, db database, v *vault, td spiffeid.TrustDomain, now time.Time) (store.Generation, error) {
	var none store.Generation
	if o.importFile == "" {
		return newGeneration(v, &o.cfg, td, now)
	}
	chain, err := readInput(nil, o.importFile)
	if err != nil {
		return none, fmt.Errorf("--import: %w", err)
	}
	intermediate, root, err := server.ParseImport(string(chain))
	if err != nil {
		return none, fmt.Errorf("--import: %s %w", o.importFile, err)
	}
	importer, err := newImporter(&o.cfg, db, v)
	if err != nil {
		return none, err
	}
	authorities, err := importer.First(ctx, rotation.Certificates{Intermediate: intermediate, Root: root}, now)
	if err != nil {
		return none, fmt.Errorf("--import: %w", err)
	}
	return v.firstGeneration(td, now, authorities...)
}

// writeWaiting says what has to happen before init can go on.
func (r *initResult) writeWaiting(out io.Writer) error {
	_, err := fmt.Fprintf(out, `The key of the intermediate of trust domain %[1]s is made; its certificate is for the root to sign.

  request         %[2]s
  seal key        %[3]s (keep a copy: without it the CA's keys are lost)

Next, where the root is kept:
  pando ceremony sign --config ceremony.yaml --passphrase-file FILE --csr intermediate.csr --out DIR
and here, with the same flags as now:
  pando init --trust-domain %[1]s --data %[4]s --import DIR/intermediate.pem
`, r.TrustDomain, r.Request, r.SealKey, r.Data)
	return err
}
