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

// decodeObject reads exactly one JSON object. Unlike encoding/json it refuses a name that
// stands twice in one object, of which two readers may take different ones (RFC 8725, section
// 2.4 has the like), and deep nesting. Numbers stay as they are written.
func decodeObject(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is not an object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on after the object")
	}
	return object, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	switch {
	case !ok:
		return token, nil
	case depth == maxJSONDepth:
		return nil, fmt.Errorf("is nested deeper than %d", maxJSONDepth)
	case delim == '{':
		return decodeMembers(dec, depth+1)
	case delim == '[':
		return decodeElements(dec, depth+1)
	}
	return nil, errors.New("has a stray delimiter")
}

func decodeMembers(dec *json.Decoder, depth int) (map[string]any, error) {
	object := make(map[string]any)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("has a member without a name")
		}
		if _, twice := object[name]; twice {
			return nil, errors.New("has a name twice")
		}
		if object[name], err = decodeValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token() // the closing brace
	return object, err
}

func decodeElements(dec *json.Decoder, depth int) ([]any, error) {
	list := []any{}
	for dec.More() {
		value, err := decodeValue(dec, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := dec.Token() // the closing bracket
	return list, err
}
