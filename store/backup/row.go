package backup

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pando-ca/pando/store"
)

// appendRow appends a row as a line.
func appendRow(line []byte, t *store.Table, row store.Row) ([]byte, error) {
	for i, c := range t.Columns {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		line = append(line, separator)
		var err error
		if line, err = appendValue(line, &c, row[i]); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
		}
	}
	return append(line, "]\n"...), nil
}

func appendValue(line []byte, c *store.Column, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		if c.Nullable {
			return append(line, "null"...), nil
		}
		return nil, fmt.Errorf("is null: %w", store.ErrInvalid)
	case int64:
		return strconv.AppendInt(line, v, 10), nil
	case bool:
		return strconv.AppendBool(line, v), nil
	case time.Time:
		return strconv.AppendInt(line, v.UnixMicro(), 10), nil
	case []byte:
		line = append(line, '"')
		line = base64.StdEncoding.AppendEncode(line, v)
		return append(line, '"'), nil
	case string:
		return appendJSON(line, v, v)
	case []string:
		return appendJSON(line, v, v...)
	case map[string]string:
		texts := make([]string, 0, 2*len(v))
		for key, text := range v {
			texts = append(texts, key, text)
		}
		return appendJSON(line, v, texts...)
	case float64:
		return appendJSON(line, v)
	}
	return nil, fmt.Errorf("%T: %w", value, store.ErrInvalid)
}

// appendJSON appends a value that consists of these texts. JSON would replace what is not UTF-8.
func appendJSON(line []byte, v any, texts ...string) ([]byte, error) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("is not UTF-8: %w", store.ErrInvalid)
		}
	}
	encoded, err := json.Marshal(v)
	return append(line, encoded...), err
}

// parseRow is the inverse of appendRow.
func parseRow(line []byte, t *store.Table) (store.Row, error) {
	var values []json.RawMessage
	if err := json.Unmarshal(line, &values); err != nil {
		return nil, fmt.Errorf("row of %s: %w", t.Name, ErrDamaged)
	}
	if len(values) != len(t.Columns) {
		return nil, fmt.Errorf("row of %s has %d values, want %d: %w", t.Name, len(values), len(t.Columns), ErrDamaged)
	}
	row := make(store.Row, len(values))
	for i, c := range t.Columns {
		var err error
		if row[i], err = parseValue(values[i], &c); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, ErrDamaged)
		}
	}
	return row, nil
}

func parseValue(text json.RawMessage, c *store.Column) (any, error) {
	if string(text) == "null" {
		if c.Nullable {
			return nil, nil
		}
		return nil, ErrDamaged
	}
	switch c.Kind {
	case store.KindInt:
		return parse[int64](text)
	case store.KindTime:
		micros, err := parse[int64](text)
		return time.UnixMicro(micros).UTC(), err
	case store.KindFloat:
		return parse[float64](text)
	case store.KindBool:
		return parse[bool](text)
	case store.KindText:
		return parse[string](text)
	case store.KindOctets:
		return parse[[]byte](text)
	case store.KindList:
		return parse[[]string](text)
	case store.KindMap:
		return parse[map[string]string](text)
	}
	return nil, ErrDamaged
}

func parse[T any](text json.RawMessage) (v T, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}
