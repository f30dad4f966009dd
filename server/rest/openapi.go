package rest

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

const descriptionPath = "/openapi.yaml"

// describe is what the OpenAPI document says of the door as a whole.
func describe() huma.Config {
	return huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Pando", Version: "v1",
			Description: "A certificate authority for workloads. Credentials are a bearer token (a join token or a JWT) " +
				"or a TLS client certificate of this authority; a bearer token, when there is one, is the credential. " +
				"Every failure is a problem document (RFC 9457) with a stable code and the request's identifier.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "A join token (pjt_…) or a JWT of a configured issuer."},
				"mtls":   {Type: "mutualTLS", Description: "A client certificate of this authority."},
			},
		},
	}}
}

// describeRoute says of a route who may pass, how failures look and which header every answer has.
func describeRoute(api huma.API, op server.Operation, route *huma.Operation) {
	if server.Anonymous(op) {
		route.Security = []map[string][]string{{}}
	} else {
		route.Security = []map[string][]string{{"bearer": {}}, {"mtls": {}}}
	}
	if route.Responses == nil {
		route.Responses = make(map[string]*huma.Response)
	}
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	route.Responses["default"] = &huma.Response{
		Description: "Failure",
		Headers: map[string]*huma.Param{
			"Retry-After": {Description: "With 429 and 503: seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger}},
		},
		Content: map[string]*huma.MediaType{problemType: {Schema: schema}},
	}
}

// takesCSR describes a body that may be a bare CSR.
func takesCSR() *huma.RequestBody {
	return &huma.RequestBody{Content: map[string]*huma.MediaType{
		pkcs10: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "PKCS #10 request in DER or PEM."}},
	}}
}

// givesChain describes the answer to a bare CSR.
func givesChain() map[string]*huma.Response {
	return map[string]*huma.Response{"201": {
		Description: http.StatusText(http.StatusCreated),
		Content: map[string]*huma.MediaType{
			jsonType: {},
			pemChain: {Schema: &huma.Schema{Type: huma.TypeString, Description: "To application/pkcs10: the certificate and the intermediates in PEM."}},
		},
	}}
}

// givesNewest describes the two forms of the newest certificate.
func givesNewest() map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {
			Description: http.StatusText(http.StatusOK),
			Content: map[string]*huma.MediaType{
				jsonType: {},
				pemChain: {Schema: &huma.Schema{Type: huma.TypeString, Description: "The certificate and the intermediates in PEM."}},
			},
		},
		"304": {Description: http.StatusText(http.StatusNotModified)},
	}
}

// givesBundle describes the two forms of the trust bundle.
func givesBundle() map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {
			Description: http.StatusText(http.StatusOK),
			Content: map[string]*huma.MediaType{
				jsonType: {Schema: &huma.Schema{Type: huma.TypeObject, Description: "SPIFFE bundle document (SPIFFE Trust Domain and Bundle, section 4)."}},
				pemFile:  {Schema: &huma.Schema{Type: huma.TypeString, Description: "The roots in PEM."}},
			},
		},
		"304": {Description: http.StatusText(http.StatusNotModified)},
	}
}

// serveDescription renders the OpenAPI document once and serves it to anybody. It is the one
// path that is not an operation.
func (d *rest) serveDescription() error {
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // huma's own; ours is Problem
		delete(d.api.OpenAPI().Components.Schemas.Map(), unused)
	}
	document, err := d.api.OpenAPI().YAML()
	if err != nil {
		return fmt.Errorf("rest: describe: %w", err)
	}
	document = bytes.TrimLeft(document, "\n")
	d.router.Get(descriptionPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+yaml")
		exchangeWriter(w).writeAll(document)
	})
	return nil
}

func exchangeWriter(w http.ResponseWriter) *exchange { return w.(*exchange) }
