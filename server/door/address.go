package door

import "strings"

// Host is the address of a peer without its port, as records and rate limits know it.
func Host(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		address = address[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
}
