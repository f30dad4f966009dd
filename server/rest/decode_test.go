package rest

import (
	"encoding/json"
	"testing"
)

func TestDecodeStrict(t *testing.T) {
	tests := map[string]struct {
		json string
		ok   bool
	}{
		"all fields":                       {`{"csr":"x","dns_names":["a","b"],"duration":"1h"}`, true},
		"nothing":                          {`{}`, true},
		"space around":                     {" \r\n\t{ \"csr\" : \"x\" } \n", true},
		"a colon and braces in a string":   {`{"csr":"{\"a\":1,\"a\":2}"}`, true},
		"null for a field":                 {`{"csr":null}`, true},
		"a field twice":                    {`{"csr":"x","csr":"x"}`, false},
		"a field twice, once escaped":      {`{"csr":"x","\u0063sr":"x"}`, false},
		"a field in capitals":              {`{"CSR":"x"}`, false},
		"a field with the Kelvin sign":     {`{"\u212aey":"x"}`, false},
		"a field with a long s":            {"{\"c\u017fr\":\"x\"}", false},
		"an unknown field":                 {`{"key":"x"}`, false},
		"a list":                           {`[]`, false},
		"a list where a text belongs":      {`{"csr":["x"]}`, false},
		"a second value":                   {`{"csr":"x"}{}`, false},
		"something after the value":        {`{"csr":"x"}x`, false},
		"a value that breaks off":          {`{"csr":"x"`, false},
		"no value":                         {``, false},
		"base64 of another alphabet":       {`{"csr_der":"-_-_"}`, false},
		"deeper than anybody needs to be":  {`{"dns_names":[[[[[[[[[["a"]]]]]]]]]]}`, false},
		"a comment":                        {`{"csr":"x"/**/}`, false},
		"a field that is told twice as {}": {`{"csr":"x","":{},"":{}}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var into SignRequest
			if err := decodeStrict([]byte(test.json), &into); (err == nil) != test.ok {
				t.Errorf("decodeStrict(%s) = %v", test.json, err)
			}
		})
	}
}

func TestClaimsAreData(t *testing.T) {
	var into EntryRequest
	text := `{"spiffe_id":"x","method":"jwt","claims":{"Sub":"a","sub":"b","/kubernetes.io/Namespace":"c"}}`
	if err := decodeStrict([]byte(text), &into); err != nil || len(into.Claims) != 3 {
		t.Errorf("decodeStrict(%s) = %v, %v", text, into.Claims, err)
	}
	text = `{"spiffe_id":"x","method":"jwt","claims":{"sub":"a","sub":"b"}}`
	if err := decodeStrict([]byte(text), &into); err == nil {
		t.Error("a claim that is required to have two values was accepted")
	}
}

func FuzzDecodeStrict(f *testing.F) {
	f.Add([]byte(`{"csr":"x","dns_names":["a","b"],"duration":"1h"}`))
	f.Add([]byte(`{"requests":[{"csr":"\\\"x"},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var into BatchRequest
		if decodeStrict(data, &into) == nil && !json.Valid(data) {
			t.Errorf("%q is no JSON", data)
		}
	})
}
