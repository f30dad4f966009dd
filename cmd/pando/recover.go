package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
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

While the certificate is still valid, pando context renew renews it. What is in the two files is
replaced; a certificate among it that was still valid is named.`,
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
			return made.write(io.out)
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVar(&name, "name", name, "name of the administrator")
	return cmd
}

// recovered is what recover made.
type recovered struct {
	madeAdmin
	replaced *x509.Certificate // was still good; nil: there was none
}

// write prints it.
func (r *recovered) write(out io.Writer) error {
	text := fmt.Sprintf("Made a certificate for %s, until %s:\n  %s\n  %s\n",
		r.SPIFFEID, r.NotAfter.UTC().Format(time.RFC3339), r.Certificate, r.Key)
	if r.replaced != nil {
		serial, _ := ca.SerialOf(r.replaced) // the CA vouches for it
		text += fmt.Sprintf("It replaced certificate %s, which is valid until %s: a copy of it can still be used.\n",
			serial, r.replaced.NotAfter.UTC().Format(time.RFC3339))
	}
	_, err := io.WriteString(out, text)
	return err
}

// recover makes the certificate of an administrator of a CA that is there.
func (o *initOptions) recover(ctx context.Context, now time.Time) (*recovered, error) {
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
	if err := v.openToken(&o.cfg.Keys, db); err != nil {
		return nil, err
	}
	defer v.close()
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
	replaced := usableKeyPair(o.path(o.admin+".crt"), o.path(o.admin+".key"), set, id)
	leaf, err := o.makeAdministrator(ctx, db, set, "pando recover")
	if err != nil {
		return nil, err
	}
	made := madeAdmin{id.String(), o.path(o.admin + ".crt"), o.path(o.admin + ".key"), leaf.NotAfter}
	return &recovered{made, replaced}, nil
}
