package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Directory is where a job keeps the backups of one CA. Files that are not called as its own are
// none of its business.
type Directory struct {
	Path        string
	TrustDomain string

	Keep    int           // newest backups that are kept; 0: however many there are
	KeepFor time.Duration // for how long one is kept; 0: for ever
}

const (
	stampLayout = "20060102T150405Z"
	suffix      = ".pando.age"
	// leftFor is after how long a file that is not finished belongs to nobody any more.
	leftFor = 24 * time.Hour
)

// Name is the path of a backup that is made at now.
func (d *Directory) Name(now time.Time) string {
	return filepath.Join(d.Path, d.TrustDomain+"-"+now.UTC().Format(stampLayout)+suffix)
}

// made is when a backup was made, by its name, which is the directory's own.
func (d *Directory) made(name string) (time.Time, bool) {
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(d.TrustDomain) + `-(\d{8}T\d{6}Z)` + regexp.QuoteMeta(suffix) + `$`)
	m := pattern.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(stampLayout, m[1])
	return at, err == nil
}

// left reports whether a file was left by a process that died while it made a backup.
func (d *Directory) left(entry fs.DirEntry, now time.Time) bool {
	pattern := regexp.MustCompile(`^\.` + regexp.QuoteMeta(d.TrustDomain) + `-\d{8}T\d{6}Z` + regexp.QuoteMeta(suffix) + `-\d+$`)
	if !pattern.MatchString(entry.Name()) {
		return false
	}
	info, err := entry.Info()
	return err == nil && now.Sub(info.ModTime()) > leftFor
}

// Prune deletes what is not to be kept, and what a process that died has left, and returns the names.
// latest, the last good backup, always stays. It is called after a backup has been made, so that one
// that fails deletes nothing.
func (d *Directory) Prune(latest string, now time.Time) (deleted []string, err error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, fmt.Errorf("prune backups: %w", err)
	}
	var errs []error
	for _, name := range d.surplus(entries, filepath.Base(latest), now) {
		if err := os.Remove(filepath.Join(d.Path, name)); err != nil {
			errs = append(errs, fmt.Errorf("prune backups: %w", err))
			continue
		}
		deleted = append(deleted, name)
	}
	return deleted, errors.Join(errs...)
}

// surplus is the names of what is to be deleted.
func (d *Directory) surplus(entries []fs.DirEntry, latest string, now time.Time) []string {
	var surplus, kept []string
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		if d.left(entry, now) {
			surplus = append(surplus, entry.Name())
		}
		if _, ours := d.made(entry.Name()); ours {
			kept = append(kept, entry.Name())
		}
	}
	slices.Sort(kept)
	slices.Reverse(kept) // the newest first
	for i, name := range kept {
		at, _ := d.made(name)
		many, old := d.Keep > 0 && i >= d.Keep, d.KeepFor > 0 && now.Sub(at) > d.KeepFor
		if name != latest && (many || old) {
			surplus = append(surplus, name)
		}
	}
	return surplus
}
