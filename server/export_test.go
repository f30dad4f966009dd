package server

import (
	"time"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// AskAll looks what holds for each caller under rules that nobody has asked for before.
func AskAll(rules []mtls.Rule, callers []spiffeid.ID) {
	state := &mtlsState{loaded: true, policy: mtls.NewPolicy(rules), made: time.Now()}
	for _, id := range callers {
		state.of(id)
	}
}
