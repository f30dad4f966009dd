package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// decodeStrict decodes one JSON value and nothing after it. Unknown fields are refused, so
// that a mistyped limit is not taken for none; so are two fields of one name, and names that
// differ in case, which other parsers on the way may read differently.
func decodeStrict(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return describeJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value")
	}
	return checkNames(data)
}

// describeJSON keeps Go's type names out of messages.
func describeJSON(err error) error {
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped) && mistyped.Field != "":
		return fmt.Errorf("%s: a JSON %s cannot stand here", mistyped.Field, mistyped.Value)
	case errors.As(err, &mistyped):
		return fmt.Errorf("a JSON %s cannot stand here", mistyped.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON breaks off")
	}
	return err
}

// maxFields is the most fields that one JSON object may have. It is far above what any message
// has; looking for repeated names takes the square of it.
const maxFields = 256

// object is one JSON object whose names are being read.
type object struct {
	names [][]byte
	free  bool // its names are data, such as claims, and not fields of ours
	list  bool // not an object but an array
}

// checkNames refuses repeated names in any object, and names of fields that are not written
// as they are documented. data is known to be one valid JSON value.
func checkNames(data []byte) error {
	var room [4]object // deeper than any message
	open := room[:0]
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			free := len(open) > 0 && !open[len(open)-1].list // an object in an object is a map
			open = append(open, object{list: data[i] == '[', free: free && data[i] == '{'})
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			text, end := jsonString(data, i)
			i = end
			if len(open) == 0 || !followedByColon(data, end) {
				continue
			}
			if err := open[len(open)-1].add(text); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonString returns the text between the quotation mark at start and its partner, and
// where that is.
func jsonString(data []byte, start int) (text []byte, end int) {
	for end = start + 1; data[end] != '"'; end++ {
		if data[end] == '\\' {
			end++
		}
	}
	return data[start+1 : end], end
}

func followedByColon(data []byte, end int) bool {
	for _, c := range data[end+1:] {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}

func (o *object) add(name []byte) error {
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if err := json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &plain); err != nil {
			return err
		}
		name = []byte(plain)
	}
	for _, c := range name {
		if !o.free && (c < 'a' || c > 'z') && c != '_' {
			return fmt.Errorf("unknown field %q", name)
		}
	}
	if len(o.names) == maxFields {
		return fmt.Errorf("an object has more than %d fields", maxFields)
	}
	for _, earlier := range o.names {
		if bytes.Equal(earlier, name) {
			return fmt.Errorf("field %q stands twice", name)
		}
	}
	o.names = append(o.names, name)
	return nil
}
