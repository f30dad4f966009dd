package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// CreateEntry adds an entry; see [store.Entries].
func (s *Store) CreateEntry(ctx context.Context, e store.Entry, audit store.Audit) error {
	names, err := json.Marshal(e.DNSNames)
	if err != nil {
		return fmt.Errorf("create entry: %w", err)
	}
	claims, err := encode(e.Claims)
	if err != nil {
		return fmt.Errorf("create entry: %w", err)
	}
	return s.announced(s.change(ctx, "create entry", audit, func(t *tx) (bool, error) {
		_, err := t.exec(ctx, entryInsertSQL, e.ID, e.SPIFFEID, string(names), e.Profile, e.Method, e.Issuer,
			claims, e.CreatedAt.UnixMicro(), e.CreatedBy, e.PreRenew, e.Watch)
		if err != nil {
			return false, err
		}
		_, err = t.exec(ctx, entryVersionBumpSQL)
		return true, err
	}))
}

// Entry finds an entry by its ID; see [store.Entries].
func (s *Store) Entry(ctx context.Context, id string) (*store.Entry, error) {
	e, err := scanEntry(s.reader.queryRow(ctx, entrySQL, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read entry: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read entry", err)
	}
	return &e, nil
}

// Entries lists entries; see [store.Entries].
func (s *Store) Entries(ctx context.Context, f store.EntryFilter) ([]store.Entry, error) {
	rows, err := s.reader.query(ctx, entriesSQL, f.SPIFFEID, f.Method, f.PreRenew, f.Watch, f.After, f.Limit)
	return collect("list entries", rows, err, scanEntry)
}

// DeleteEntry deletes an entry and its tokens; see [store.Entries].
func (s *Store) DeleteEntry(ctx context.Context, id string, audit store.Audit) error {
	return s.announced(s.change(ctx, "delete entry", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, entryDeleteSQL, id)
		if err != nil {
			return false, err
		}
		if rows == 0 {
			return false, store.ErrNotFound
		}
		_, err = t.exec(ctx, entryVersionBumpSQL)
		return true, err
	}))
}

// EntryVersion changes with the entries; see [store.EntryVersions].
func (s *Store) EntryVersion(ctx context.Context) (uint64, error) {
	var version int64
	if err := s.reader.queryRow(ctx, entryVersionSQL).Scan(&version); err != nil {
		return 0, classify("read entry version", err)
	}
	return uint64(version), nil
}

func scanEntry(from row) (store.Entry, error) {
	var (
		e             store.Entry
		names, claims []byte
		createdAt     int64
	)
	err := from.Scan(&e.ID, &e.SPIFFEID, &names, &e.Profile, &e.Method, &e.Issuer, &claims, &createdAt, &e.CreatedBy, &e.PreRenew, &e.Watch)
	if err != nil {
		return e, err
	}
	e.CreatedAt = timeOf(createdAt)
	if err := errors.Join(json.Unmarshal(names, &e.DNSNames), json.Unmarshal(claims, &e.Claims)); err != nil {
		return e, err
	}
	if len(e.DNSNames) == 0 {
		e.DNSNames = nil
	}
	if len(e.Claims) == 0 {
		e.Claims = nil
	}
	return e, nil
}

// encode is a map as JSON text; an empty object when there is none.
func encode(m map[string]string) (string, error) {
	if m == nil {
		return "{}", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}
