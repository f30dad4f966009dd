package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
)

// crlShards is the number of shards that the specification speaks of.
const crlShards = 16

// field is one row of the specification: what a certificate says, and whether critically.
type field struct{ Critical, Value string }

// TestSpecification compares fresh certificates with docs/certificate-specification.md in
// both directions: every row must be true, and nothing may be in a certificate without one.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../docs/certificate-specification.md")
	check(t, err)
	pki := catest.New(t, catest.Options{Now: noon, Organization: "Example", CRLShards: crlShards, URLs: ca.URLs{
		Issuer: "http://pando.example.org/v1/issuers/{authority}.cer", CRL: "http://pando.example.org/v1/crls/{authority}/{shard}.crl",
	}})
	leaf := workload(t, catest.Key(t, ca.ECDSAP256).Public())
	leaf.DNSNames = []string{"web.example.org"}
	signed, err := pki.Set().Issuer().Sign(leaf)
	check(t, err)
	prepared := pki.Prepare(t)
	cross := prepared.Set().Authorities()[len(prepared.Set().Authorities())-1].Cross()
	rootCert, issuer := pki.Set().Roots()[0], pki.Set().Issuer().Certificate()
	for section, tt := range map[string]struct {
		cert, parent *x509.Certificate
		moment       string
	}{
		"Root":              {rootCert, rootCert, "first use"},
		"Cross-certificate": {cross, rootCert, "first use"},
		"Intermediate":      {issuer, rootCert, "first use"},
		"Leaf":              {signed.Leaf, issuer, "issue"},
	} {
		t.Run(section, func(t *testing.T) {
			want := make(map[string]field)
			for _, row := range table(t, string(text), section) {
				want[row[0]] = field{row[1], code(t, row[2])}
			}
			if diff := cmp.Diff(want, describe(t, tt.cert, tt.parent, tt.moment)); diff != "" {
				t.Errorf("(-specification +certificate):\n%s", diff)
			}
		})
	}
}

func TestSpecificationOfProfiles(t *testing.T) {
	text, err := os.ReadFile("../docs/certificate-specification.md")
	check(t, err)
	want := make(map[string][]string)
	for _, row := range table(t, string(text), "Profiles") {
		for _, cell := range row[1:] {
			want[row[0]] = append(want[row[0]], code(t, cell))
		}
	}
	got := make(map[string][]string)
	for _, p := range policy.Profiles() {
		names := map[bool]string{false: "allowed", true: "required"}[p.RequireDNSNames]
		wildcards := map[bool]string{false: "refused", true: "allowed"}[p.WildcardDNSNames]
		got[p.Name] = []string{p.Duration.String(), p.MaxDuration.String(), extKeyUsage(t, p.ExtKeyUsage), names, wildcards}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-specification +profiles):\n%s", diff)
	}
}

func TestSpecificationOfKeys(t *testing.T) {
	text, err := os.ReadFile("../docs/certificate-specification.md")
	check(t, err)
	var want []ca.KeyAlgorithm
	for _, row := range table(t, string(text), "Keys") {
		want = append(want, ca.KeyAlgorithm(code(t, row[1])))
	}
	if diff := cmp.Diff(want, ca.KeyAlgorithms()); diff != "" {
		t.Errorf("(-specification +program):\n%s", diff)
	}
}

// TestSpecificationOfAnOrganisation checks the two rows that an organisation changes.
func TestSpecificationOfAnOrganisation(t *testing.T) {
	issuer := catest.New(t, catest.Options{Now: noon}).Set().Issuer()
	leaf := workload(t, catest.Key(t, ca.ECDSAP256).Public())
	plain, err := issuer.Sign(leaf)
	check(t, err)
	leaf.Organization = []string{"Example"}
	named, err := issuer.Sign(leaf)
	check(t, err)
	want := describe(t, plain.Leaf, issuer.Certificate(), "issue")
	want["subject"] = field{"", "O=Example"}
	want["subjectAltName"] = field{"no", want["subjectAltName"].Value}
	if diff := cmp.Diff(want, describe(t, named.Leaf, issuer.Certificate(), "issue")); diff != "" {
		t.Errorf("(-want +certificate):\n%s", diff)
	}
}

// table returns the rows of the first table under a heading, without its head.
func table(t *testing.T, text, section string) [][]string {
	t.Helper()
	_, text, ok := strings.Cut(text, "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var rows [][]string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if !ok || len(rows) < 3 {
		t.Fatalf("section %q has no table", section)
	}
	return rows[2:]
}

// code returns the text between the backticks of a cell.
func code(t *testing.T, cell string) string {
	t.Helper()
	text := strings.TrimPrefix(strings.TrimSuffix(cell, "`"), "`")
	if len(text)+2 != len(cell) || strings.Contains(text, "`") {
		t.Fatalf("cell %q is not one piece of code", cell)
	}
	return text
}

// describe says what is in a certificate, in the words of the specification.
func describe(t *testing.T, cert, parent *x509.Certificate, moment string) map[string]field {
	t.Helper()
	key, err := ca.KeyAlgorithmOf(cert.PublicKey)
	check(t, err)
	fields := map[string]field{
		"version":          {"", fmt.Sprint(cert.Version)},
		"serialNumber":     {"", serialNumber(cert)},
		"signature":        {"", cert.SignatureAlgorithm.String()},
		"issuer":           {"", issuerName(cert, parent)},
		"notBefore":        {"", offset(moment, cert.NotBefore.Sub(noon))},
		"notAfter":         {"", offset(moment, cert.NotAfter.Sub(noon))},
		"subject":          {"", subject(cert)},
		"subjectPublicKey": {"", string(key)},
	}
	for _, e := range cert.Extensions {
		name, value := extension(t, cert, parent, e.Id.String())
		if _, twice := fields[name]; twice {
			t.Errorf("extension %s appears twice", name)
		}
		fields[name] = field{map[bool]string{false: "no", true: "yes"}[e.Critical], value}
	}
	return fields
}

func serialNumber(cert *x509.Certificate) string {
	const lead = 4
	s, ok := ca.SerialOf(cert)
	if !ok || int64(binary.BigEndian.Uint32(s[:lead])) != cert.NotAfter.Unix() || bytes.Equal(s[lead:], make([]byte, len(s)-lead)) {
		return cert.SerialNumber.String()
	}
	return fmt.Sprintf("second of notAfter, %d random octets", len(s)-lead)
}

func issuerName(cert, parent *x509.Certificate) string {
	switch {
	case bytes.Equal(cert.RawIssuer, cert.RawSubject):
		return "own subject"
	case bytes.Equal(cert.RawIssuer, parent.RawSubject):
		return "subject of the issuer"
	}
	return cert.Issuer.String()
}

func offset(moment string, d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%s %s %d d", moment, sign, d/(24*time.Hour))
	}
	return fmt.Sprintf("%s %s %v min", moment, sign, d.Minutes())
}

func subject(cert *x509.Certificate) string {
	if len(cert.Subject.Names) == 0 {
		return "empty"
	}
	var parts []string
	for _, name := range cert.Subject.Names {
		label := map[string]string{"2.5.4.10": "O", "2.5.4.3": "CN"}[name.Type.String()]
		parts = append(parts, fmt.Sprintf("%s=%s", label, name.Value))
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), hex.EncodeToString(cert.SubjectKeyId[:8]), "{key}")
}

// extension names an extension and says what is in it. An object identifier that is not
// here names itself, and so fails the comparison: this is the allow-list.
func extension(t *testing.T, cert, parent *x509.Certificate, oid string) (name, value string) {
	t.Helper()
	authority := func(urls []string) string {
		return strings.ReplaceAll(strings.Join(urls, ", "), ca.AuthorityID(parent), "{authority}")
	}
	switch oid {
	case "2.5.29.15":
		return "keyUsage", keyUsage(cert.KeyUsage)
	case "2.5.29.37":
		return "extKeyUsage", extKeyUsage(t, cert.ExtKeyUsage)
	case "2.5.29.19":
		return "basicConstraints", basicConstraints(cert)
	case "2.5.29.14":
		return "subjectKeyIdentifier", subjectKeyIdentifier(t, cert)
	case "2.5.29.35":
		if bytes.Equal(cert.AuthorityKeyId, parent.SubjectKeyId) {
			return "authorityKeyIdentifier", "subjectKeyIdentifier of the issuer"
		}
		return "authorityKeyIdentifier", hex.EncodeToString(cert.AuthorityKeyId)
	case "1.3.6.1.5.5.7.1.1":
		return "authorityInfoAccess", "caIssuers " + authority(append(cert.IssuingCertificateURL, cert.OCSPServer...))
	case "2.5.29.31":
		serial, _ := ca.SerialOf(cert)
		shard := "/" + strconv.Itoa(serial.Shard(crlShards)) + ".crl"
		if cert.IsCA {
			return "cRLDistributionPoints", authority(cert.CRLDistributionPoints)
		}
		return "cRLDistributionPoints", strings.Replace(authority(cert.CRLDistributionPoints), shard, "/{shard}.crl", 1)
	case "2.5.29.17":
		return "subjectAltName", subjectAltName(cert)
	}
	return oid, "an extension that is not in the specification"
}

func keyUsage(usage x509.KeyUsage) string {
	var parts []string
	for i, name := range []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if usage&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, ", ")
}

func extKeyUsage(t *testing.T, usages []x509.ExtKeyUsage) string {
	t.Helper()
	var parts []string
	for _, usage := range usages {
		parts = append(parts, usage.String())
	}
	return strings.Join(parts, ", ")
}

func basicConstraints(cert *x509.Certificate) string {
	switch {
	case !cert.IsCA:
		return "no CA"
	case cert.MaxPathLen > 0 || cert.MaxPathLenZero:
		return fmt.Sprintf("CA, pathLen %d", cert.MaxPathLen)
	}
	return "CA"
}

func subjectKeyIdentifier(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	bits, err := cert.PublicKey.(*ecdsa.PublicKey).Bytes()
	check(t, err)
	if sum := sha256.Sum256(bits); !bytes.Equal(cert.SubjectKeyId, sum[:20]) {
		return hex.EncodeToString(cert.SubjectKeyId)
	}
	return "SHA-256 of the key, first 20 octets"
}

func subjectAltName(cert *x509.Certificate) string {
	var parts []string
	for _, name := range cert.DNSNames {
		parts = append(parts, "DNS "+name)
	}
	for _, ip := range cert.IPAddresses {
		parts = append(parts, "IP "+ip.String())
	}
	for _, address := range cert.EmailAddresses {
		parts = append(parts, "email "+address)
	}
	for _, u := range cert.URIs {
		parts = append(parts, "URI "+u.String())
	}
	return strings.Join(parts, ", ")
}
