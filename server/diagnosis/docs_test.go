package diagnosis

import (
	"os"
	"strings"
	"testing"
)

// TestEveryCheckIsDocumented: docs/doctor.md has a row for each.
func TestEveryCheckIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range newExaminer(t, broken{}).Names() {
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("docs/doctor.md has no row for %s", name)
		}
	}
}
