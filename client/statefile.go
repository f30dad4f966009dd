package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	// stateVersion is the form of the state that this version writes and reads.
	stateVersion = 1

	// maxState is the most that is read of a state: the largest bundle and the longest list of
	// revocations that is kept are below 800 kB.
	maxState = 1 << 20

	// maxKept is how many revoked certificates are kept: 410 kB. If there are more none is,
	// and the CA is asked for all of them after a restart.
	maxKept = 10_000
)

// state is what a restart needs beside key and chain. Unknown fields are ignored, so that an
// older version can follow a newer one.
type state struct {
	Version int `json:"version"`

	// Anchor is a hash of the configured roots. If they are others now the operator has
	// changed his mind, and the roots that were learned from the old ones do not count.
	Anchor        string    `json:"anchor"`
	Bundle        *bundle   `json:"bundle,omitempty"` // nil: the CA has sent none
	BundleUpdated time.Time `json:"bundle_updated,omitzero"`

	Certificate stateOfCertificate `json:"certificate"`

	Revocations        *revocationList `json:"revocations,omitempty"`
	RevocationsUpdated time.Time       `json:"revocations_updated,omitzero"`
}

// stateOfCertificate is what is known of one certificate. The file with the certificate
// itself may be older or newer: then nothing is known of that.
type stateOfCertificate struct {
	Serial   string    `json:"serial,omitempty"`
	Obtained time.Time `json:"obtained,omitzero"`
	Renewal  renewal   `json:"renewal,omitzero"`
	Asked    string    `json:"asked,omitempty"` // what it was asked for with, as a fingerprint
	Revoked  bool      `json:"revoked,omitempty"`
}

// learnedState is a state that was read.
type learnedState struct {
	text               []byte
	anchor             string
	trust              *trust // nil: the CA has sent none
	bundleUpdated      time.Time
	certificate        stateOfCertificate
	revoked            *revocations
	revocationsUpdated time.Time
}

// parseState reads a state of a trust domain.
func parseState(text []byte, domain spiffeid.TrustDomain, now time.Time) (learnedState, error) {
	var st state
	if err := json.Unmarshal(text, &st); err != nil {
		return learnedState{}, err
	}
	if st.Version != stateVersion {
		return learnedState{}, fmt.Errorf("form %d, not %d", st.Version, stateVersion)
	}
	l := learnedState{
		text: text, anchor: st.Anchor, bundleUpdated: st.BundleUpdated,
		certificate: st.Certificate, revocationsUpdated: st.RevocationsUpdated,
	}
	if st.Bundle != nil {
		none := &trust{domain: domain}
		t, err := none.newer(*st.Bundle)
		if err != nil {
			return learnedState{}, err
		}
		l.trust = t
	}
	if r := st.Revocations; r != nil {
		if len(r.Serials) > maxKept || len(r.Authorities) > maxRevokedAuthorities {
			return learnedState{}, fmt.Errorf("%d certificates and %d authorities are revoked", len(r.Serials), len(r.Authorities))
		}
		var err error
		if l.revoked, _, err = l.revoked.with(r, now); err != nil {
			return learnedState{}, err
		}
	}
	return l, nil
}

// stateOf is the state of a snapshot. st is of the same moment.
func stateOf(cur *snapshot, st Status, anchor string) state {
	kept := state{
		Version: stateVersion, Anchor: anchor, BundleUpdated: st.BundleUpdated.Round(0),
		RevocationsUpdated: st.RevocationsUpdated.Round(0), Revocations: cur.revoked.kept(),
	}
	if cur.trust.learned {
		kept.Bundle = &bundle{TrustDomain: cur.trust.domain.String(), Sequence: cur.trust.sequence, Roots: string(encodeCertificates(cur.trust.roots))}
	}
	if cur.held() {
		kept.Certificate = stateOfCertificate{
			Serial: cur.serial(), Obtained: st.LastSuccess.Round(0), Asked: cur.asked, Revoked: cur.withdrawn != nil,
			Renewal: renewal{Start: cur.told.start, End: cur.told.end},
		}
	}
	return kept
}

// anchorOf is the hash of configured roots.
func anchorOf(t *trust) string {
	digest := sha256.New()
	for _, root := range t.roots {
		digest.Write(root.Raw)
	}
	return hex.EncodeToString(digest.Sum(nil))
}
