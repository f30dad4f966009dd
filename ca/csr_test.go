package ca_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// refused is every defective request, in a file that is named after its defect.
var refused = map[string]struct {
	defect string
	make   func(testing.TB) []byte
}{
	"csr-sha1.pem":     {ca.DefectSignatureAlgorithm, func(t testing.TB) []byte { return opensslCSR(t, opensslP256, "-sha1") }},
	"csr-sha1-rsa.pem": {ca.DefectSignatureAlgorithm, func(t testing.TB) []byte { return opensslCSR(t, opensslRSA, "-sha1") }},
	"csr-md5-rsa.pem":  {ca.DefectSignatureAlgorithm, func(t testing.TB) []byte { return opensslCSR(t, opensslRSA, "-md5") }},

	"csr-rsa-1024.pem": {ca.DefectKey, func(t testing.TB) []byte {
		return opensslCSR(t, []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"})
	}},
	"csr-rsa-2056.pem": {ca.DefectKey, func(t testing.TB) []byte {
		return opensslCSR(t, []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2056"})
	}},
	"csr-rsa-exponent-3.pem": {ca.DefectKey, func(t testing.TB) []byte {
		return opensslCSR(t, append(opensslRSA, "-pkeyopt", "rsa_keygen_pubexp:3"))
	}},
	"csr-rsa-8193.pem":       {ca.DefectKey, func(t testing.TB) []byte { return rawCSR{spki: rsaSPKI(t, 8193, 65537)}.pem(t) }},
	"csr-rsa-2047.pem":       {ca.DefectKey, func(t testing.TB) []byte { return rawCSR{spki: rsaSPKI(t, 2047, 65537)}.pem(t) }},
	"csr-key-encoding.pem":   {ca.DefectKey, func(t testing.TB) []byte { return rawCSR{spki: looseSPKI(t)}.pem(t) }},
	"csr-p224.pem":           {ca.DefectKey, opensslCurve("P-224")},
	"csr-p521.pem":           {ca.DefectKey, opensslCurve("P-521")},
	"csr-secp256k1.pem":      {ca.DefectMalformed, opensslCurve("secp256k1")},
	"csr-ec-explicit.pem":    {ca.DefectMalformed, opensslCurve("P-256", "-pkeyopt", "ec_param_enc:explicit")},
	"csr-ed448.pem":          {ca.DefectSignatureAlgorithm, func(t testing.TB) []byte { return opensslCSR(t, []string{"-algorithm", "ED448"}) }},
	"csr-other-key.pem":      {ca.DefectSignature, func(t testing.TB) []byte { return rawCSR{spki: p256SPKI(t)}.pem(t) }},
	"csr-no-signature.pem":   {ca.DefectSignature, func(t testing.TB) []byte { return rawCSR{signature: []byte{0x30, 0}}.pem(t) }},
	"csr-altered.pem":        {ca.DefectSignature, alteredCSR},
	"csr-version-1.pem":      {ca.DefectMalformed, func(t testing.TB) []byte { return rawCSR{version: 1}.pem(t) }},
	"csr-trailing.pem":       {ca.DefectMalformed, func(t testing.TB) []byte { return csrPEM(append(rawCSR{}.der(t), 0)) }},
	"csr-trailing.der":       {ca.DefectMalformed, func(t testing.TB) []byte { return append(rawCSR{}.der(t), 0x30, 0) }},
	"csr-truncated.der":      {ca.DefectMalformed, func(t testing.TB) []byte { der := rawCSR{}.der(t); return der[:len(der)-7] }},
	"csr-indefinite.der":     {ca.DefectMalformed, indefiniteCSR},
	"csr-certificate.der":    {ca.DefectMalformed, someCertificate},
	"csr-two-san.pem":        {ca.DefectMalformed, twoSAN},
	"csr-two-attributes.pem": {ca.DefectMalformed, twoAttributes},

	"csr-two-uri-sans.pem":   {ca.DefectURI, names(uri("spiffe://example.org/a"), uri("spiffe://example.org/b"))},
	"csr-same-uri-twice.pem": {ca.DefectURI, names(uri("spiffe://example.org/a"), uri("spiffe://example.org/a"))},
	"csr-https-uri.pem":      {ca.DefectURI, names(uri("https://example.org/a"))},
	"csr-uri-fragment.pem":   {ca.DefectURI, names(uri("spiffe://example.org/a#"))},
	"csr-uri-wildcard.pem":   {ca.DefectURI, names(uri("spiffe://example.org/*"))},
	"csr-uri-encoded.pem":    {ca.DefectURI, names(uri("spiffe://example.org/%61"))},
	"csr-uri-long.pem":       {ca.DefectURI, names(uri("spiffe://example.org/" + strings.Repeat("a", 2048)))},
	"csr-101-names.pem":      {ca.DefectTooManyNames, func(t testing.TB) []byte { return withNames(t, manyNames(101)...).pem(t) }},

	"csr-dns-nul.pem":            {ca.DefectDNSName, names(dns("a.example.org\x00.evil.com"))},
	"csr-dns-space.pem":          {ca.DefectDNSName, names(dns("a b.example.org"))},
	"csr-dns-empty.pem":          {ca.DefectDNSName, names(dns(""))},
	"csr-dns-empty-label.pem":    {ca.DefectDNSName, names(dns("a..example.org"))},
	"csr-dns-long-label.pem":     {ca.DefectDNSName, names(dns(strings.Repeat("a", 64) + ".example.org"))},
	"csr-dns-trailing-dot.pem":   {ca.DefectDNSName, names(dns("a.example.org."))},
	"csr-dns-ipv4.pem":           {ca.DefectDNSName, names(dns("192.0.2.1"))},
	"csr-dns-ipv6.pem":           {ca.DefectDNSName, names(dns("2001:db8::1"))},
	"csr-dns-inner-wildcard.pem": {ca.DefectDNSName, names(dns("a.*.example.org"))},

	"csr-ip.pem":             {ca.DefectNameType, names(asn1.RawValue{Class: 2, Tag: 7, Bytes: []byte{192, 0, 2, 1}})},
	"csr-email.pem":          {ca.DefectNameType, names(asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte("a@example.org")})},
	"csr-other-name.pem":     {ca.DefectNameType, names(asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 1, 0xa0, 2, 5, 0}})},
	"csr-directory-name.pem": {ca.DefectNameType, names(asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}})},

	"csr-junk-before.pem":   {ca.DefectPEM, func(t testing.TB) []byte { return append([]byte("junk\n"), rawCSR{}.pem(t)...) }},
	"csr-junk-after.pem":    {ca.DefectPEM, func(t testing.TB) []byte { return append(rawCSR{}.pem(t), "junk\n"...) }},
	"csr-two-blocks.pem":    {ca.DefectPEM, func(t testing.TB) []byte { return append(rawCSR{}.pem(t), rawCSR{}.pem(t)...) }},
	"csr-damaged-first.pem": {ca.DefectPEM, damagedFirst},
	"csr-headers.pem":       {ca.DefectPEM, pemAs("CERTIFICATE REQUEST", map[string]string{"Proc-Type": "4"})},
	"csr-other-label.pem":   {ca.DefectPEM, pemAs("CERTIFICATE", nil)},
	"csr-bad-base64.pem":    {ca.DefectPEM, func(t testing.TB) []byte { return bytes.Replace(rawCSR{}.pem(t), []byte("M"), []byte("!"), 1) }},
	"csr-no-end.pem":        {ca.DefectPEM, func(t testing.TB) []byte { p, _, _ := bytes.Cut(rawCSR{}.pem(t), []byte("-----END")); return p }},
}

func opensslCurve(curve string, more ...string) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		return opensslCSR(t, append([]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + curve}, more...))
	}
}

func names(names ...asn1.RawValue) func(testing.TB) []byte {
	return func(t testing.TB) []byte { return withNames(t, names...).pem(t) }
}

func manyNames(n int) []asn1.RawValue {
	all := make([]asn1.RawValue, n)
	for i := range all {
		all[i] = dns(fmt.Sprintf("w%d.example.org", i))
	}
	return all
}

func pemAs(label string, headers map[string]string) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Headers: headers, Bytes: rawCSR{}.der(t)})
	}
}

func p256SPKI(t testing.TB) []byte {
	spki, err := x509.MarshalPKIXPublicKey(catest.Key(t, ca.ECDSAP256).Public())
	check(t, err)
	return spki
}

func alteredCSR(t testing.TB) []byte {
	return csrPEM(bytes.Replace(withNames(t, uri("spiffe://example.org/web")).der(t), []byte("web"), []byte("wed"), 1))
}

// indefiniteCSR has BER's indefinite length in its outermost element.
func indefiniteCSR(t testing.TB) []byte {
	var outer asn1.RawValue
	_, err := asn1.Unmarshal(rawCSR{}.der(t), &outer)
	check(t, err)
	return append(append([]byte{0x30, 0x80}, outer.Bytes...), 0, 0)
}

func someCertificate(t testing.TB) []byte {
	return catest.New(t, catest.Options{}).Set().Roots()[0].Raw
}

func twoSAN(t testing.TB) []byte {
	san := sanOf(t, dns("a.example.org"))
	return rawCSR{attributes: [][]pkix.Extension{{san, san}}}.pem(t)
}

func twoAttributes(t testing.TB) []byte {
	san := sanOf(t, dns("a.example.org"))
	return rawCSR{attributes: [][]pkix.Extension{{san}, {san}}}.pem(t)
}

func damagedFirst(t testing.TB) []byte {
	first := bytes.Replace(rawCSR{}.pem(t), []byte("-----END"), []byte("--END"), 1)
	return append(first, rawCSR{}.pem(t)...)
}

func TestParseCSRRefuses(t *testing.T) {
	for file, tt := range refused {
		t.Run(file, func(t *testing.T) {
			wantDefect(t, testdata(t, file, tt.make), tt.defect)
		})
	}
}

// TestParseCSRRefusesTheUnwieldy has the requests that are too big for a file.
func TestParseCSRRefusesTheUnwieldy(t *testing.T) {
	good := rawCSR{}.der(t)
	for name, tt := range map[string]struct {
		data   []byte
		defect string
	}{
		"nothing":                    {nil, ca.DefectEmpty},
		"one octet too many":         {bytes.Repeat([]byte{0x30}, ca.MaxCSRSize+1), ca.DefectTooLarge},
		"PEM of one octet too many":  {append(csrPEM(good), bytes.Repeat([]byte("\n"), ca.MaxCSRSize)...), ca.DefectTooLarge},
		"20000 names":                {withNames(t, manyNames(20000)...).der(t), ca.DefectTooLarge},
		"all the names that fit":     {withNames(t, manyNames(3000)...).der(t), ca.DefectTooManyNames},
		"10000 levels deep":          {nested(t, 10000), ca.DefectMalformed},
		"10000 levels of attributes": {deepAttribute(t, 10000), ca.DefectMalformed},
		"text":                       {[]byte("give me a certificate"), ca.DefectMalformed},
		"zeros":                      {make([]byte, 1000), ca.DefectMalformed},
	} {
		t.Run(name, func(t *testing.T) { wantDefect(t, tt.data, tt.defect) })
	}
}

func wantDefect(t *testing.T, data []byte, defect string) {
	t.Helper()
	csr, err := ca.ParseCSR(data)
	var bad *ca.CSRError
	if !errors.As(err, &bad) {
		t.Fatalf("ParseCSR = %+v, %v, want a *CSRError", csr, err)
	}
	if bad.Unwrap() == nil {
		t.Error("the defect is not put in words")
	}
	if bad.Defect != defect {
		t.Errorf("defect %q (%v), want %q", bad.Defect, err, defect)
	}
	if csr != nil {
		t.Errorf("a request was returned with the error: %+v", csr)
	}
	if strings.ContainsAny(err.Error(), "\x00\n\x1b") || len(err.Error()) > 400 {
		t.Errorf("error is not fit for a log line: %q", err)
	}
}

// nested makes SEQUENCEs in one another, with lengths as short as they can be.
func nested(t testing.TB, levels int) []byte {
	t.Helper()
	der := []byte{5, 0}
	for range levels {
		der = append(derHeader(len(der)), der...)
	}
	return der
}

func derHeader(n int) []byte {
	switch {
	case n < 0x80:
		return []byte{0x30, byte(n)}
	case n < 0x100:
		return []byte{0x30, 0x81, byte(n)}
	}
	return []byte{0x30, 0x82, byte(n >> 8), byte(n)}
}

func deepAttribute(t testing.TB, levels int) []byte {
	return rawCSR{attributes: [][]pkix.Extension{{{Id: oidSAN, Value: nested(t, levels)}}}}.der(t)
}

// accepted is every unusual but good request, with what is taken from it.
var accepted = map[string]struct {
	make func(testing.TB) []byte
	id   string
	dns  []string
}{
	"csr-no-names.pem": {make: func(t testing.TB) []byte { return rawCSR{}.pem(t) }},
	"csr-uri-and-dns.pem": {
		make: names(uri("spiffe://example.org/web"), dns("web.example.org"), dns("*.web.example.org")),
		id:   "spiffe://example.org/web", dns: []string{"web.example.org", "*.web.example.org"},
	},
	"csr-dns-case-and-repeats.pem": {
		make: names(dns("WEB.example.org"), dns("web.example.org")), dns: []string{"web.example.org"},
	},
	"csr-empty-san.pem": {make: names()},
	"csr-new-label.pem": {make: pemAs("NEW CERTIFICATE REQUEST", nil)},
	"csr-crlf.pem":      {make: func(t testing.TB) []byte { return bytes.ReplaceAll(rawCSR{}.pem(t), []byte("\n"), []byte("\r\n")) }},
	"csr-100-names.der": {make: func(t testing.TB) []byte { return withNames(t, manyNames(100)...).der(t) }, dns: dnsNames(100)},
	"csr-rsa-pss.pem": {make: func(t testing.TB) []byte {
		return opensslCSR(t, opensslRSA, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
	}},
	"csr-asks-for-ca.pem": {make: asksForCA, id: "spiffe://example.org/web"},
	"csr-challenge.pem":   {make: withChallenge},
}

func dnsNames(n int) []string {
	var all []string
	for _, name := range manyNames(n) {
		all = append(all, string(name.Bytes))
	}
	return all
}

// asksForCA asks for everything that a workload must never get.
func asksForCA(t testing.TB) []byte {
	return opensslCSR(t, opensslP256,
		"-addext", "subjectAltName=URI:spiffe://example.org/web",
		"-addext", "basicConstraints=critical,CA:TRUE",
		"-addext", "keyUsage=critical,keyCertSign,cRLSign",
		"-addext", "extendedKeyUsage=anyExtendedKeyUsage,OCSPSigning",
		"-addext", "nameConstraints=critical,permitted;DNS:example.org",
		"-addext", "authorityInfoAccess=OCSP;URI:http://evil.example.com/",
		"-addext", "crlDistributionPoints=URI:http://evil.example.com/",
		"-addext", "1.2.3.4=critical,ASN1:NULL")
}

func withChallenge(t testing.TB) []byte {
	config := t.TempDir() + "/openssl.cnf"
	writeFile(t, config, []byte("[req]\ndistinguished_name=dn\nattributes=at\nprompt=no\n[dn]\nCN=a\n[at]\nchallengePassword=secret\nunstructuredName=b\n"))
	key := t.TempDir() + "/key.pem"
	openssl(t, append([]string{"genpkey", "-out", key}, opensslP256...)...)
	return openssl(t, "req", "-new", "-key", key, "-config", config)
}

func TestParseCSRAccepts(t *testing.T) {
	for file, tt := range accepted {
		t.Run(file, func(t *testing.T) {
			data := testdata(t, file, tt.make)
			csr, err := ca.ParseCSR(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.id, csr.ID.String()); diff != "" {
				t.Errorf("SPIFFE ID (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.dns, csr.DNSNames); diff != "" {
				t.Errorf("DNS names (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseCSRDER checks what an accepted request promises.
func FuzzParseCSRDER(f *testing.F) {
	for file, tt := range refused {
		f.Add(derOf(testdata(f, file, tt.make)))
	}
	for file, tt := range accepted {
		f.Add(derOf(testdata(f, file, tt.make)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		csr, err := ca.ParseCSR(data)
		if err != nil {
			var bad *ca.CSRError
			if !errors.As(err, &bad) || csr != nil {
				t.Fatalf("ParseCSR = %v, %v", csr, err)
			}
			return
		}
		checkCSR(t, csr)
	})
}

// FuzzParseCSRPEM checks that armour adds nothing: an accepted PEM file holds a request that
// is accepted in DER, with the same result.
func FuzzParseCSRPEM(f *testing.F) {
	for file, tt := range refused {
		f.Add(testdata(f, file, tt.make))
	}
	for file, tt := range accepted {
		f.Add(testdata(f, file, tt.make))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		csr, err := ca.ParseCSR(data)
		if err != nil || !bytes.HasPrefix(data, []byte("-----BEGIN")) {
			return
		}
		again, err := ca.ParseCSR(derOf(data))
		if err != nil || again.KeyHash != csr.KeyHash || again.ID != csr.ID || !slices.Equal(again.DNSNames, csr.DNSNames) {
			t.Errorf("in PEM %+v, in DER %+v, %v", csr, again, err)
		}
	})
}

func derOf(data []byte) []byte {
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	return data
}

func checkCSR(t *testing.T, csr *ca.CSR) {
	t.Helper()
	alg, err := ca.KeyAlgorithmOf(csr.PublicKey)
	if err != nil || alg != csr.KeyAlgorithm {
		t.Errorf("KeyAlgorithmOf = %q, %v, want %q", alg, err, csr.KeyAlgorithm)
	}
	hash, err := ca.HashPublicKey(csr.PublicKey)
	if err != nil || hash != csr.KeyHash {
		t.Errorf("HashPublicKey = %x, %v, want %x", hash, err, csr.KeyHash)
	}
	if len(csr.DNSNames) > ca.MaxCSRNames {
		t.Errorf("%d DNS names", len(csr.DNSNames))
	}
	for _, name := range csr.DNSNames {
		if err := ca.ValidDNSName(name); err != nil {
			t.Error(err)
		}
	}
}

func TestAnUnknownSignatureAlgorithmHasNoNumber(t *testing.T) {
	const file = "csr-ed448.pem"
	_, err := ca.ParseCSR(testdata(t, file, refused[file].make))
	if err == nil || !strings.Contains(err.Error(), "signature algorithm is not known") {
		t.Errorf("the defect is %v", err)
	}
}
