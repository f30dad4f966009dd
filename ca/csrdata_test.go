package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "make the requests in testdata anew")

// openssl runs the real openssl, which the tests need: without it they fail.
func openssl(t testing.TB, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// opensslCSR makes a key with the arguments of genpkey, and a request for it in PEM.
func opensslCSR(t testing.TB, genpkey []string, req ...string) []byte {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key.pem")
	openssl(t, append([]string{"genpkey", "-out", key}, genpkey...)...)
	return openssl(t, append([]string{"req", "-new", "-key", key, "-subj", "/CN=not to be copied"}, req...)...)
}

var (
	opensslP256 = []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	opensslRSA  = []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
)

// rawCSR is a request that no tool would make.
type rawCSR struct {
	version    int
	spki       []byte             // default: of the key that signs
	attributes [][]pkix.Extension // one extensionRequest attribute for each
	signature  []byte             // default: a good one
}

var (
	oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidSAN              = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidECDSAWithSHA256  = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

func (r rawCSR) der(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	if r.spki == nil {
		r.spki, err = x509.MarshalPKIXPublicKey(key.Public())
		check(t, err)
	}
	var attributes []asn1.RawValue
	for _, extensions := range r.attributes {
		attribute := marshal(t, struct {
			ID     asn1.ObjectIdentifier
			Values [][]pkix.Extension `asn1:"set"`
		}{oidExtensionRequest, [][]pkix.Extension{extensions}})
		attributes = append(attributes, asn1.RawValue{FullBytes: attribute})
	}
	info := marshal(t, struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0"`
	}{r.version, asn1.RawValue{FullBytes: []byte{0x30, 0}}, asn1.RawValue{FullBytes: r.spki}, attributes})
	if r.signature == nil {
		digest := sha256.Sum256(info)
		r.signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
		check(t, err)
	}
	return marshal(t, struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256},
		asn1.BitString{Bytes: r.signature, BitLength: 8 * len(r.signature)},
	})
}

func (r rawCSR) pem(t testing.TB) []byte { return csrPEM(r.der(t)) }

func csrPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// sanOf makes a subject alternative name of raw names.
func sanOf(t testing.TB, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	return pkix.Extension{Id: oidSAN, Value: marshal(t, names)}
}

func dns(name string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(name)}
}

func uri(text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(text)}
}

func withNames(t testing.TB, names ...asn1.RawValue) rawCSR {
	return rawCSR{attributes: [][]pkix.Extension{{sanOf(t, names...)}}}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	check(t, err)
	return der
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rsaSPKI is the public key of nobody: its modulus is random.
func rsaSPKI(t testing.TB, bits, exponent int) []byte {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	check(t, err)
	n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: exponent})
	check(t, err)
	return spki
}

// looseSPKI is a P-256 key with an element after the last one, which the parser of the
// standard library overlooks.
func looseSPKI(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	var parts []asn1.RawValue
	_, err = asn1.Unmarshal(spki, &parts)
	check(t, err)
	return marshal(t, append(parts, asn1.RawValue{FullBytes: []byte{5, 0}}))
}

// testdata returns the content of a file in testdata; with -update it is made first.
func testdata(t testing.TB, name string, makeIt func(testing.TB) []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.WriteFile(path, makeIt(t), 0o644))
	}
	data, err := os.ReadFile(path)
	check(t, err)
	return data
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	check(t, os.WriteFile(path, data, 0o600))
}
