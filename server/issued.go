package server

import (
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Issued is the answer to a request for a certificate.
type Issued struct {
	Certificate
	Chain   string // PEM: the certificate, then the intermediates up to but without the root
	Renewal ca.Window
	Bundle  *Bundle // shared: do not change it
}

// issued is the answer that goes with a durable record.
func (t *trust) issued(r *store.Record, renewAt float64) *Issued {
	certificate := newCertificate(r, r.IssuedAt)
	return &Issued{
		Certificate: certificate,
		Chain:       certificate.PEM + t.above[r.Issuer],
		Renewal:     t.set.Window(r.Issuer, ca.Serial(r.Serial), r.NotBefore, r.NotAfter, renewAt),
		Bundle:      t.bundle,
	}
}
