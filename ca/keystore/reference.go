package keystore

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"

	"go.step.sm/crypto/kms/uri"
)

// Reference names a key in a token: a URI with the two attributes that a key has there
// (RFC 7512, section 2.3), id and object. It says neither module nor token nor PIN, which the
// configuration does, so that each replica may reach the token in its own way.
type Reference struct{ text string }

// referenceIDSize makes references unique without asking the token.
const referenceIDSize = 16

// NewReference draws a reference for a key with this label.
func NewReference(label string) Reference {
	id := make([]byte, referenceIDSize)
	rand.Read(id) // never fails; see crypto/rand
	return reference(hex.EncodeToString(id), label)
}

func reference(id, label string) Reference {
	return Reference{scheme + ":id=" + id + ";object=" + url.PathEscape(label)}
}

// ParseReference reads a reference to a key with this label. It takes only what NewReference
// may have returned: two spellings would be two keys to those who compare.
func ParseReference(text, label string) (Reference, error) {
	u, err := uri.ParseWithScheme(scheme, text)
	if err != nil {
		return Reference{}, fmt.Errorf("reference to a key: %w", err)
	}
	ref := reference(u.Get("id"), u.Get("object"))
	id, err := hex.DecodeString(u.Get("id"))
	switch {
	case err != nil || len(id) != referenceIDSize || ref.text != text:
		return Reference{}, fmt.Errorf("reference to a key: %q is not of the form %s:id=…;object=…", text, scheme)
	case label != u.Get("object"):
		return Reference{}, fmt.Errorf("reference to a key: it is that of %q, not of %q", u.Get("object"), label)
	}
	return ref, nil
}

// labelOf is the label in a reference, empty if there is none.
func labelOf(ref []byte) string {
	u, err := uri.ParseWithScheme(scheme, string(ref))
	if err != nil {
		return ""
	}
	return u.Get("object")
}

// String returns the URI.
func (r Reference) String() string { return r.text }

// InToken reports whether a reference is to a key in a token, rather than the key itself, sealed.
func InToken(ref []byte) bool { return bytes.HasPrefix(ref, []byte(scheme+":")) }
