package ca_test

import (
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

func TestURLsValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"nothing":             {"", true},
		"a template":          {"http://pando.example.org/issuers/{authority}.cer", true},
		"a fixed URL":         {"https://pando.example.org/root.cer", true},
		"a path":              {"/issuers/{authority}", false},
		"no host":             {"http:///issuers", false},
		"another scheme":      {"file:///etc/passwd", false},
		"a space":             {"http://pando.example.org/a b", false},
		"beyond ASCII":        {"http://pando.example.org/é", false},
		"a newline":           {"http://pando.example.org/\n", false},
		"an unknown template": {"http://pando.example.org/{issuer}", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, urls := range []ca.URLs{{Issuer: tt.text}, {CRL: tt.text}} {
				if err := urls.Validate(); (err == nil) != tt.ok {
					t.Errorf("%+v: %v, want accepted %t", urls, err, tt.ok)
				}
				cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
				cfg.URLs = urls
				if _, err := ca.NewSet(cfg, noon); (err == nil) != tt.ok {
					t.Errorf("NewSet with %+v: %v, want accepted %t", urls, err, tt.ok)
				}
			}
		})
	}
}
