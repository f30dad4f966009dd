package main

import (
	"fmt"
	"maps"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// maxPage is the longest page that the server gives.
const maxPage = 999

// listing is how much of a list is wanted.
type listing struct {
	limit     int
	pageToken string
}

func (l *listing) addTo(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.limit, "limit", 100, "list at most this `number`; 0 lists everything")
	cmd.Flags().StringVar(&l.pageToken, "page-token", "", "go on after an earlier listing: its next_page_token")
}

// collect asks for one page of query after the other until there are as many rows as are
// wanted. It returns the token by which the listing goes on, empty at its end.
func collect[T any](l listing, query url.Values, fetch func(page url.Values) ([]T, string, error)) ([]T, string, error) {
	if l.limit < 0 {
		return nil, "", usageErrorf("--limit %d is negative", l.limit)
	}
	rows, token := []T{}, l.pageToken
	for {
		size := maxPage
		if l.limit > 0 {
			size = min(size, l.limit-len(rows))
		}
		page := maps.Clone(query)
		page.Set("page_size", strconv.Itoa(size))
		if token != "" {
			page.Set("page_token", token)
		}
		more, next, err := fetch(page)
		if err != nil {
			return nil, "", err
		}
		rows, token = append(rows, more...), next
		if token == "" || l.limit > 0 && len(rows) >= l.limit {
			return rows, token, nil
		}
	}
}

// hintMore tells people that a listing goes on.
func hintMore(io stdio, form, nextPageToken string) {
	if nextPageToken != "" && (form == formTable || form == formID) {
		fmt.Fprintf(io.err, "pando: there is more: add --page-token %s, or --limit 0 for everything\n", printable(nextPageToken))
	}
}

// queryOf makes a query of parameters, without those that are empty.
func queryOf(parameters map[string]string) url.Values {
	query := make(url.Values)
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// objectPath is the path of one object in a collection. Names that would lead out of the
// collection are refused.
func objectPath(collection, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", usageErrorf("%q is not an identifier", id)
	}
	return collection + "/" + url.PathEscape(id), nil
}
