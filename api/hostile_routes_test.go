package api_test

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/api/apitest"
)

// TestEveryRouteIsInTheTable: a route or a method that somebody adds has to be asked for as each
// role, in TestPermissions.
func TestEveryRouteIsInTheTable(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	cases := permissionCases(t)
	covers := func(match func(request) bool) bool {
		for _, c := range cases {
			if match(c.request) {
				return true
			}
		}
		return false
	}
	routes := describedRoutes(t, doors)
	for _, route := range routes {
		method, pattern, _ := strings.Cut(route, " ")
		path := regexp.MustCompile(`^` + regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(pattern, `[^/]+`) + `$`)
		if !covers(func(r request) bool {
			bare, _, _ := strings.Cut(r.path, "?")
			return r.httpMethod == method && path.MatchString(bare)
		}) {
			t.Errorf("%s is not in the table", route)
		}
	}
	methods := 0
	for service, info := range doors.RPC.GetServiceInfo() {
		if !strings.HasPrefix(service, "pando.") {
			continue // gRPC's own
		}
		for _, method := range info.Methods {
			methods++
			name := "/" + service + "/" + method.Name
			if _, asked := streamPermissions()[name]; asked && method.IsServerStream {
				continue
			}
			if !covers(func(r request) bool { return r.rpcMethod == name }) {
				t.Errorf("%s is not in the table", name)
			}
		}
	}
	if len(routes) < 10 || methods < 10 {
		t.Errorf("only %d routes and %d methods were found", len(routes), methods)
	}
}

// describedRoutes reads the description that the REST door serves; a test of the door sees to
// it that it is complete.
func describedRoutes(t *testing.T, doors *apitest.Doors) []string {
	t.Helper()
	response, err := doors.HTTP(t, apitest.Anonymous).Get(doors.URL + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &description); err != nil {
		t.Fatal(err)
	}
	var routes []string
	for path, operations := range description.Paths {
		for method := range operations {
			method = strings.ToUpper(method)
			if slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, method) {
				routes = append(routes, method+" "+path)
			}
		}
	}
	return routes
}
