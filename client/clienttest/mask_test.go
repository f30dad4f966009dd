package clienttest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// pair is the certificate of an answer, with its key.
func pair(t *testing.T, answer []byte, key any) tls.Certificate {
	t.Helper()
	var signed struct {
		Chain string `json:"certificate_chain"`
	}
	if err := json.Unmarshal(answer, &signed); err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{PrivateKey: key}
	for block, rest := pem.Decode([]byte(signed.Chain)); block != nil; block, rest = pem.Decode(rest) {
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	if len(cert.Certificate) == 0 {
		t.Fatalf("no certificate: %s", answer)
	}
	var err error
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return cert
}

var masks = []struct {
	kind    string
	pattern *regexp.Regexp
}{
	{"a moment", regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)},
	{"a serial number", regexp.MustCompile(`^[0-9a-f]{38}$`)},
	{"an authority", regexp.MustCompile(`^[0-9a-f]{16}$`)},
	{"a key", regexp.MustCompile(`^[0-9a-f]{64}$`)},
	{"a request", regexp.MustCompile(`^[0-9a-f]{24}$`)},
	{"a version", regexp.MustCompile(`^[0-9a-f]{32}$`)},
}

// masked parses JSON and replaces what differs from run to run by what kind of value it is.
func masked(t *testing.T, data []byte) any {
	t.Helper()
	if len(data) == 0 {
		return nil
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return mask("", value)
}

func mask(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = mask(name, v[name])
		}
	case []any:
		for i := range v {
			v[i] = mask("", v[i])
		}
	case float64:
		if name == "sequence" && v > 0 {
			return "a sequence"
		}
	case string:
		if n := strings.Count(v, "-----BEGIN CERTIFICATE-----"); n > 0 {
			return strings.Repeat("certificate ", n)
		}
		if name == "detail" && v != "" {
			return "words for people"
		}
		for _, m := range masks {
			if m.pattern.MatchString(v) {
				return m.kind
			}
		}
	}
	return value
}

// shape is a value with nothing but its names and types.
func shape(value any) any {
	switch v := value.(type) {
	case map[string]any:
		of := make(map[string]any)
		for name := range v {
			of[name] = shape(v[name])
		}
		delete(of, "dns_names") // there are none in some
		return of
	case []any:
		return "a list"
	}
	return fmt.Sprintf("%T", value)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func csrPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func second[A, B any](_ A, b B) B { return b }
