package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxJSONDepth is how deeply objects and arrays of a token may be nested. Those of known
// issuers are three deep.
const maxJSONDepth = 16

// decodeObject reads exactly one JSON object. Unlike encoding/json it refuses deep nesting and
// a name that stands twice in one object, of which two readers may take different ones.
// Numbers stay as they are written.
func decodeObject(data []byte) (map[string]any, error) {
	written, depth := survey(data)
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("is nested deeper than %d", maxJSONDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, err
	}
	switch _, err := dec.Token(); {
	case !errors.Is(err, io.EOF):
		return nil, errors.New("goes on after the object")
	case object == nil:
		return nil, errors.New("is null")
	case members(object) != written:
		return nil, errors.New("has a name twice in one object")
	}
	return object, nil
}

// survey counts the members of all objects in a JSON text, by the colons that separate names
// from values, and says how deeply it is nested. It reads the text once and keeps nothing; for
// a text that is not JSON the answers mean nothing.
func survey(data []byte) (members, depth int) {
	open, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++ // the escaped character ends nothing
		case c == '"':
			inString = !inString
		case inString:
		case c == ':':
			members++
		case c == '{' || c == '[':
			open++
			depth = max(depth, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return members, depth
}

// members counts the members of all objects in a decoded value: fewer than were written if a
// later one has taken the place of an earlier one.
func members(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		n = len(v)
		for _, member := range v {
			n += members(member)
		}
	case []any:
		for _, element := range v {
			n += members(element)
		}
	}
	return n
}
