package server

import (
	"strings"
	"unicode/utf8"
)

// checkTexts refuses texts that no row can have, before they come to the store: Postgres takes
// neither NUL nor what is not UTF-8, also not to compare it with, and would make a caller's
// mistake look like a failure of ours.
func checkTexts(texts ...string) error {
	for _, text := range texts {
		if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return invalid("a text in the request holds NUL, or is not UTF-8")
		}
	}
	return nil
}
