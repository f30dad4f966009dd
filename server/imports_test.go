package server

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca/catest"
)

func TestParseImport(t *testing.T) {
	set := catest.New(t, catest.Options{}).Set()
	root, intermediate := set.Authorities()[0].Certificate(), set.Authorities()[1].Certificate()
	first, second := encodePEM(intermediate.Raw), encodePEM(root.Raw)
	gotIntermediate, gotRoot, err := ParseImport(first + "\n" + second)
	if err != nil || !gotIntermediate.Equal(intermediate) || !gotRoot.Equal(root) {
		t.Errorf("both: %v", err)
	}
	if gotIntermediate, gotRoot, err = ParseImport(first); err != nil || !gotIntermediate.Equal(intermediate) || gotRoot != nil {
		t.Errorf("one: %v, root %v", err, gotRoot)
	}
	for name, tt := range map[string]struct{ chain, want string }{
		"nothing":          {"", "holds no certificate"},
		"three":            {first + second + second, "more than two"},
		"junk before":      {"junk\n" + first, "something else than PEM"},
		"junk between":     {first + "junk\n" + second, "something else than PEM"},
		"junk after":       {first + "junk", "something else than PEM"},
		"a key":            {first + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})), "not a certificate"},
		"headers":          {strings.Replace(first, "-----\n", "-----\nA: b\n\n", 1), "not a certificate"},
		"a damaged block":  {first[:len(first)-10], "is damaged"},
		"a malformed one":  {encodePEM([]byte{0x30}), "is malformed"},
		"octets of no use": {"\x00\xff", "something else than PEM"},
	} {
		if _, _, err := ParseImport(tt.chain); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// FuzzParseImport checks that nothing panics, and that what is accepted has an intermediate.
func FuzzParseImport(f *testing.F) {
	set := catest.New(f, catest.Options{}).Set()
	f.Add(encodePEM(set.Issuer().Certificate().Raw))
	f.Fuzz(func(t *testing.T, chain string) {
		if intermediate, _, err := ParseImport(chain); (err == nil) != (intermediate != nil) {
			t.Errorf("intermediate %v, error %v", intermediate, err)
		}
	})
}
