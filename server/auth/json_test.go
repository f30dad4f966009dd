package auth

import (
	"strings"
	"testing"
)

func TestDecodeObject(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"empty object":                            {`{}`, true},
		"all kinds of values":                     {`{"a":[1,2.5e3,-0,true,false,null,"x"],"b":{"a":{"a":[]}}}`, true},
		"white space":                             {" \t\r\n{ \"a\" : 1 }\n", true},
		"the same name in different objects":      {`{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, true},
		"colons, braces and quotes in strings":    {`{"a:{[\"":":\\","b\\":"}]:"}`, true},
		"16 levels":                               {`{"a":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, true},
		"17 levels":                               {`{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, false},
		"a name twice":                            {`{"a":1,"a":1}`, false},
		"a name twice, once escaped":              {`{"a":1,"\u0061":1}`, false},
		"a name twice, deep":                      {`{"x":[{"y":{"a":1,"b":2,"a":3}}]}`, false},
		"a name twice, the first value an object": {`{"a":{"b":1,"c":2},"a":1}`, false},
		"a name twice, merged by the decoder":     {`{"a":{"b":1},"a":{"c":1}}`, false},
		"names that become equal by bad UTF-8":    {"{\"a\xff\":1,\"a\xfe\":1}", false},
		"null":                                    {`null`, false},
		"an array":                                {`[]`, false},
		"a string":                                {`"{}"`, false},
		"nothing":                                 {``, false},
		"two objects":                             {`{}{}`, false},
		"a stray brace":                           {`{}}`, false},
		"not closed":                              {`{"a":1`, false},
		"a lone backslash at the end":             {`{"a":"\`, false},
		"a comment":                               {`{/**/}`, false},
		"single quotes":                           {`{'a':1}`, false},
		"a number that JSON does not know":        {`{"a":NaN}`, false},
	} {
		object, err := decodeObject([]byte(c.text))
		if (err == nil) != c.good || (object != nil) != c.good {
			t.Errorf("%s: %v, %v", name, object, err)
		}
	}
}
