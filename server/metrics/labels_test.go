package metrics

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
	"github.com/pando-ca/pando/store"
)

// Each failure that a door can tell of has a code that is a label of its own.
func TestEveryCodeIsKnown(t *testing.T) {
	failures := []error{
		errors.New("disk on fire"), &policy.Denial{Rule: policy.RuleProfile}, &ca.CSRError{Defect: "x", Err: errors.New("x")},
		store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrCallerRevoked, store.ErrKeyBlocked,
		store.ErrEntryGone, store.ErrTokenUsed, store.ErrTokenExpired, store.ErrReplayed, store.ErrUnavailable,
		store.ErrOverloaded, door.Invalid("x"), door.TooLarge("x"),
	}
	for _, r := range auth.Reasons() {
		failures = append(failures, &auth.Error{Reason: r})
	}
	known := codes()
	for _, err := range failures {
		if code := door.Failure(err).Code; !known[code] {
			t.Errorf("%v has the unknown code %q", err, code)
		}
	}
}

// The rules in the source of package policy are those that are labels.
func TestEveryRuleIsKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../ca/policy/denial.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := rules()
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		rule, err := strconv.Unquote(literal.Value)
		if err != nil || !known[rule] {
			t.Errorf("rule %s is no label", literal.Value)
		}
		found++
		return true
	})
	if found != len(known) {
		t.Errorf("package policy has %d rules, %d are labels", found, len(known))
	}
}
