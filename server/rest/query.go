package rest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server/door"
)

// checkQuery judges the query of a request before huma reads it. huma drops what it cannot
// read, and a filter that is dropped selects everything: so each parameter must be one that
// the route has, be readable, have a value unless none means something, and stand once unless it
// is a list.
func checkQuery(raw string, route *huma.Operation) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return door.Invalid("the query string is not well formed")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		at := slices.IndexFunc(route.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		values := query[name]
		switch {
		case at < 0:
			return door.Invalid(fmt.Sprintf("unknown query parameter %q", clip(name)))
		case slices.Contains(values, "") && !route.Parameters[at].AllowEmptyValue:
			return door.Invalid(fmt.Sprintf("query parameter %q has no value", name))
		case len(values) > 1 && route.Parameters[at].Schema.Type != huma.TypeArray:
			return door.Invalid(fmt.Sprintf("query parameter %q stands twice", name))
		}
	}
	return nil
}

// allowEmpty lets a query parameter of a route be there without a value.
func allowEmpty(api huma.API, path, name string) {
	for _, p := range api.OpenAPI().Paths[path].Get.Parameters {
		if p.Name == name {
			p.AllowEmptyValue = true
		}
	}
}
