package rest

import (
	"fmt"
	"strings"
	"testing"
)

// TestManyFieldsAreGivenUp sends an object with as many fields as a body can hold. Looking for
// repeated names among them all would take a good part of a second.
func TestManyFieldsAreGivenUp(t *testing.T) {
	var names []string
	for i := range 18_000 {
		names = append(names, fmt.Sprintf(`"%x":""`, i))
	}
	body := []byte(`{"claims":{` + strings.Join(names, ",") + `}}`)
	err := decodeStrict(body, &EntryRequest{})
	if err == nil || !strings.Contains(err.Error(), "more than 256 fields") {
		t.Errorf("the answer is %v", err)
	}
	few := []byte(`{"claims":{` + strings.Join(names[:maxFields], ",") + `}}`)
	if err := decodeStrict(few, &EntryRequest{}); err != nil {
		t.Errorf("%d fields are refused: %v", maxFields, err)
	}
}
