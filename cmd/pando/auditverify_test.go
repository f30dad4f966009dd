package main

import (
	"strings"
	"testing"

	"github.com/pando-ca/pando/store"
)

// FuzzAuditExport reads what somebody says is an export: it ends, in a verdict or in an error.
func FuzzAuditExport(f *testing.F) {
	f.Add(`{"seq":1,"at":"2026-11-22T14:02:00Z","actor":"a","action":"b","link":1,"hash":"00"}` + "\n")
	f.Add(`{"seq":1,"at":"2026-11-22T14:02:00Z","actor":"a","action":"audit.cover","detail":{"rows":"1"},"link":9}` + "\n" + `{"seq":2}`)
	f.Add("{}\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		verdict, err := verifyAudit(&store.AuditVerifier{}, func(each func(*auditJSON) error) error { return eachLine(strings.NewReader(text), each) })
		if (verdict == nil) == (err == nil) {
			t.Errorf("%+v, %v", verdict, err)
		}
		if verdict != nil && verdict.Fits == (verdict.Misfit != nil) {
			t.Errorf("%+v", verdict)
		}
	})
}

func TestAnExportIsReadStrictly(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown name":  `{"seq":1,"at":"2026-11-22T14:02:00Z","actor":"a","action":"b","more":1}`,
		"two on a line":    `{"seq":1} {"seq":2}`,
		"no object":        `[]`,
		"an empty line":    "\n",
		"a line too long":  `{"actor":"` + strings.Repeat("x", maxAuditLine) + `"}`,
		"half a line":      `{"seq":1,`,
		"a number too big": `{"seq":9223372036854775808}`,
	} {
		err := eachLine(strings.NewReader(text), func(*auditJSON) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
