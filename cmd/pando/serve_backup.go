package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
)

// backupJob makes backups as they are configured.
func (d *daemon) backupJob(holder string) (rotation.Job, error) {
	lock, err := backup.NewLock(strings.Join(d.cfg.Backup.Recipients, "\n"))
	if err != nil {
		return rotation.Job{}, fmt.Errorf("backup: %w", err)
	}
	return rotation.BackupJob(rotation.BackupConfig{
		Schedule: d.cfg.Backup.Schedule, Leases: d.db, Milestones: d.db, Holder: holder, TTL: time.Duration(d.cfg.Rotation.Lease),
		Make: func(ctx context.Context, now time.Time) error { return d.makeBackup(ctx, lock, now) },
	})
}

// makeBackup makes one, notes it, and deletes those that are not to be kept any more.
func (d *daemon) makeBackup(ctx context.Context, lock *backup.Lock, now time.Time) error {
	dir := backup.Directory{
		Path: d.cfg.Backup.Directory, TrustDomain: d.cfg.TrustDomain, Keep: d.cfg.Backup.Keep, KeepFor: time.Duration(d.cfg.Backup.KeepFor),
	}
	if err := os.MkdirAll(dir.Path, 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	cfg, err := newBackup(d.cfg, d.db, d.vault)
	if err != nil {
		return err
	}
	cfg.Path, cfg.Lock, cfg.Records = dir.Name(now), lock, backup.Records(d.cfg.Backup.Records)
	made, err := backup.Create(ctx, cfg, now)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	audit := auditBackup(made, cfg.Path, "pando", now)
	if err := d.db.Reach(ctx, audit, store.MilestoneBackup, store.MilestoneBackupJob); err != nil {
		return fmt.Errorf("backup: %s is whole, and could not be noted: %w", cfg.Path, err)
	}
	d.log.InfoContext(ctx, "backup made", "file", cfg.Path, "rows", made.Rows(), "octets", made.Size, "sha256", made.SHA256)
	deleted, err := dir.Prune(cfg.Path, now)
	if len(deleted) > 0 {
		d.log.InfoContext(ctx, "backups deleted", "files", deleted)
	}
	return err
}
