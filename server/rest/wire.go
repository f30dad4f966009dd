package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	jsonType = "application/json"
	pkcs10   = "application/pkcs10"                // a CSR (RFC 5967)
	pemChain = "application/pem-certificate-chain" // RFC 8555, section 9.1
	pemFile  = "application/x-pem-file"
)

// wire is huma with this door's own content types, decoder and problem documents: nothing is
// negotiated that a route does not take or give.
type wire struct{ huma.API }

var _ huma.API = (*wire)(nil)

// Negotiate implements huma.API. A route that has more than JSON to give says so itself.
func (*wire) Negotiate(string) (string, error) { return jsonType, nil }

// Transform implements huma.API. It makes a problem document of what huma found wrong.
func (*wire) Transform(ctx huma.Context, _ string, body any) (any, error) {
	if model, ok := body.(*huma.ErrorModel); ok {
		return exchangeOf(ctx.Context()).humaFailure(model), nil
	}
	return body, nil
}

// rawBody is a request body that can also come as something else than JSON. The routes that
// take one name its type in their description; takes refuses all others.
type rawBody interface{ unmarshalRaw(data []byte) }

// rawAnswer is an answer that can also leave as a chain in PEM.
type rawAnswer interface{ chain() string }

// takes reports whether a route takes a request body of this content type, and its bare
// name. No type means JSON.
func takes(route *huma.Operation, contentType string) bool {
	if route.RequestBody == nil || contentType == "" {
		return true
	}
	_, ok := route.RequestBody.Content[bareType(contentType)]
	return ok
}

// bodyTypes names the content types that a route takes.
func bodyTypes(route *huma.Operation) string {
	return strings.Join(slices.Sorted(maps.Keys(route.RequestBody.Content)), " or ")
}

// bareType is a content type without its parameters.
func bareType(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// Unmarshal implements huma.API. The content type is one that the route takes.
func (*wire) Unmarshal(contentType string, data []byte, v any) error {
	if raw, ok := v.(rawBody); ok && bareType(contentType) == pkcs10 {
		raw.unmarshalRaw(data)
		return nil
	}
	return decodeStrict(data, v)
}

// Marshal implements huma.API. Each answer leaves in one piece, with its length.
func (*wire) Marshal(w io.Writer, contentType string, v any) error {
	ex, ok := w.(*exchange)
	if !ok {
		return fmt.Errorf("marshal: the writer is a %T", w)
	}
	if raw, ok := v.(rawAnswer); ok && contentType == pemChain {
		ex.writeAll([]byte(raw.chain()))
		return nil
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	ex.writeAll(buf.Bytes())
	return nil
}
