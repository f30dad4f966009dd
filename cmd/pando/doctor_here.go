package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/diagnosis"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// examineHere looks at the configuration, the database and the keys of this machine.
func (o *doctorOptions) examineHere(ctx context.Context) ([]doctorCheckJSON, error) {
	cfg, err := o.config.load()
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	db, err := openBeside(ctx, &cfg)
	if errors.Is(err, store.ErrSchemaOld) || errors.Is(err, store.ErrSchemaNew) {
		return []doctorCheckJSON{{checkJSON: checkJSON{
			Name: "schema", Level: server.LevelCritical, Finding: short(err.Error()), Advice: "docs/deployment.md",
		}}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var opened *vault
	examiner, err := doctorHere(&cfg, db, func() (*vault, error) {
		v, err := openVault(os.Getenv(sealKeyVariable), cfg.SealKeyFile)
		if err != nil {
			return nil, err
		}
		opened = v
		return v, v.openToken(&cfg.Keys, db)
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if opened != nil {
			_ = opened.close() // it was only read
		}
	}()
	for _, name := range o.checks {
		if !slices.Contains(examiner.Names(), name) {
			return nil, usageErrorf("--checks: there is no check %q without a server", name)
		}
	}
	var out []doctorCheckJSON
	for _, c := range examiner.Run(ctx, o.checks, time.Now()) {
		out = append(out, doctorCheckJSON{checkJSON: checkJSON{
			Name: c.Name, Level: c.Level, Finding: c.Finding, Advice: c.Advice, Evidence: c.Evidence,
		}})
	}
	return out, nil
}

// besideDatabase is a database that a server may be using.
type besideDatabase interface {
	diagnosis.Database
	store.KeyIntents
	io.Closer
}

// openBeside opens the configured database, which a server may be using.
func openBeside(ctx context.Context, cfg *config) (besideDatabase, error) {
	if cfg.Database != "" {
		return openDatabase(ctx, cfg)
	}
	if !exists(filepath.Join(cfg.Data, sqliteName)) {
		return nil, fmt.Errorf("%w in %s", errNoDatabase, cfg.Data)
	}
	db, err := sqlite.OpenBeside(ctx, sqlite.Config{Dir: cfg.Data})
	if err != nil {
		return nil, describeDatabase(err)
	}
	return db, nil
}
