package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

func newForgetKeyCommand(io stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	cmd := &cobra.Command{
		Use:   "forget-key AUTHORITY",
		Short: "Go on without the key of an authority that is lost",
		Long: `Drop the reference to the key of an authority, so that a server starts without it: for a key that
is lost for good, with its token or because it was damaged. A root goes on being trusted then, and
is treated as one that is kept offline; a successor is imported. The active intermediate cannot do
without its key. On SQLite the server must be stopped meanwhile. There is no way back.`,
		Example: "  pando forget-key 0ddceedeab2424c2 --data /var/lib/pando",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := source.load()
			if err != nil {
				return err
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			if err := forgetKey(cmd.Context(), &cfg, args[0], time.Now()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(io.out, "Authority %s has no key any more.\n", args[0])
			return err
		},
	}
	source.flags(cmd)
	return cmd
}

// forgetKey replaces the generation by one in which the authority has no key.
func forgetKey(ctx context.Context, cfg *config, id string, now time.Time) error {
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	gen, err := db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return errNoCA
	}
	if err != nil {
		return describeDatabase(err)
	}
	next := *gen
	next.Number++
	next.Authorities = slices.Clone(gen.Authorities)
	at := slices.IndexFunc(next.Authorities, func(a store.Authority) bool { return a.ID == id })
	if at < 0 {
		return withExitCode(exitNotFound, fmt.Errorf("there is no authority %s", printable(id)))
	}
	a := &next.Authorities[at]
	switch {
	case a.Role == string(ca.RoleIntermediate) && a.State == string(ca.StateActive):
		return fmt.Errorf("authority %s is the active intermediate, which signs: nothing can be served without its key", id)
	case len(a.Key) == 0:
		return fmt.Errorf("authority %s has no key", id)
	}
	lost := a.Key
	a.Key = nil
	err = db.ReplaceGeneration(ctx, gen.Number, next, store.Fence{}, store.Audit{
		At: now, Actor: "pando forget-key", Action: "authority.key.forget", Target: id,
		Detail: map[string]string{"role": a.Role, "state": a.State},
	})
	if err == nil && store.KeyInToken(lost) {
		err = db.DropKeyIntent(ctx, lost) // there is no token left to destroy it in
	}
	return describeDatabase(err)
}
