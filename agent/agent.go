package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/pando-ca/pando/internal/durable"
)

// Agent keeps identities in files. It is made by [New] and run once; [Agent.Report] and the
// collector of its metrics are safe for concurrent use, before, while and after it runs.
type Agent struct {
	stateDir string
	keepers  []*keeper
	hooks    []*hook
}

// New checks the configuration, with the trust bundles that it names and the state that there
// is. It asks nobody and writes nothing: to try a configuration is to call it.
func New(cfg Config) (*Agent, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{stateDir: cfg.StateDir}
	byName := make(map[string]*hook)
	for _, h := range cfg.Hooks {
		byName[h.Name] = newHook(h, log)
		a.hooks = append(a.hooks, byName[h.Name])
	}
	for _, i := range cfg.Identities {
		k := &keeper{
			cfg: i, state: stateFileIn(cfg.StateDir, i.Name), log: log.With("identity", i.Name),
			versions: durable.Versions{Path: i.Output.Directory, Link: i.Output.Link},
		}
		for _, name := range i.Hooks {
			k.hooks = append(k.hooks, byName[name])
		}
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("identity %q: %w", i.Name, err)
		}
		a.keepers = append(a.keepers, k)
	}
	return a, nil
}

// check looks at what the client library will be given. A damaged state is as good as none here.
func (k *keeper) check() error {
	saved, _, err := k.state.load()
	if err != nil && !errors.Is(err, errCorrupt) {
		return err
	}
	if err := k.cfg.checkClient(saved); err != nil {
		return err
	}
	if saved != nil && !saved.Request.equal(requestOf(&k.cfg.Client)) {
		k.log.Warn("what is asked for has changed; a renewal keeps what was enrolled: remove the state to enrol anew",
			"state", string(k.state), "enrolled", saved.Request, "configured", requestOf(&k.cfg.Client))
	}
	return nil
}

// Run keeps the identities until ctx ends, and returns when nothing of it is running any more.
// It fails at once if the state directory is not the agent's alone.
func (a *Agent) Run(ctx context.Context) error {
	lock, err := openStateDir(a.stateDir)
	if err != nil {
		return fmt.Errorf("state directory %s: %w", a.stateDir, err)
	}
	defer lock.Close()
	var group sync.WaitGroup
	for _, h := range a.hooks {
		group.Go(func() { h.run(ctx) })
	}
	for _, k := range a.keepers {
		group.Go(func() { k.run(ctx) })
	}
	group.Wait()
	return nil
}
