package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

func newRecoverCommand(io stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	name := "admin"
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Make a new certificate for an administrator who has none",
		Long: `Make a new client certificate for an administrator whose certificate has expired or is lost,
with the seal key and the database alone: NAME.crt and NAME.key in the data directory. The
administrator spiffe://TRUST_DOMAIN/pando/admin/NAME must be in the configuration. On SQLite the
server must be stopped meanwhile.

While the certificate is still valid, pando context renew renews it.`,
		Example: "  pando recover --data /var/lib/pando\n  pando recover --config /etc/pando/pando.yaml --name ana",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := source.load()
			if err != nil {
				return err
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			o := &initOptions{cfg: cfg, admin: name, sealKeyText: os.Getenv(sealKeyVariable)}
			made, err := o.recover(cmd.Context(), time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(io.out, "Made a certificate for %s, until %s:\n  %s\n  %s\n",
				made.SPIFFEID, made.NotAfter.UTC().Format(time.RFC3339), made.Certificate, made.Key)
			return err
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVar(&name, "name", name, "name of the administrator")
	return cmd
}

// recover makes the certificate of an administrator of a CA that is there.
func (o *initOptions) recover(ctx context.Context, now time.Time) (*madeAdmin, error) {
	td, err := o.cfg.trustDomain()
	if err != nil {
		return nil, err
	}
	roles, err := o.cfg.administrators(td)
	if err != nil {
		return nil, err
	}
	id, err := o.administrator()
	if err != nil {
		return nil, withExitCode(exitUsage, err)
	}
	if roles[id] == policy.RoleNone {
		return nil, fmt.Errorf("%s is not among the administrators in the configuration", id)
	}
	v, err := openVault(o.sealKeyText, o.cfg.SealKeyFile)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, &o.cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	gen, err := db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoCA
	}
	if err != nil {
		return nil, describeDatabase(err)
	}
	set, err := openSet(v, &o.cfg, gen, now)
	if err != nil {
		return nil, err
	}
	leaf, err := o.makeAdministrator(ctx, db, set, "pando recover")
	if err != nil {
		return nil, err
	}
	return &madeAdmin{id.String(), o.path(o.admin + ".crt"), o.path(o.admin + ".key"), leaf.NotAfter}, nil
}
