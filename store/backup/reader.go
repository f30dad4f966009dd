package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/pando-ca/pando/store"
)

const (
	// maxLine bounds what one row may take in memory. The largest there are hold the CRL of a shard, with
	// some 40 octets for each certificate on it.
	maxLine = 256 << 20
	// maxHeader bounds the first line and the last.
	maxHeader = 1 << 20
)

// Reader reads a backup that is decrypted already. What it returns is not to be relied upon before
// Rows has returned nil. Its memory does not grow with the backup.
type Reader struct {
	in     *bufio.Reader
	digest hash.Hash
	line   []byte
	header Header
	last   trailer // set at the end
}

// NewReader reads the header. latest is the schema of this binary. Errors wrap ErrDamaged or
// ErrNewer.
func NewReader(in io.Reader, latest int64) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), digest: sha256.New()}
	line, err := r.next(maxHeader)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &r.header); err != nil {
		return nil, fmt.Errorf("header: %w", ErrDamaged)
	}
	if err := r.header.check(latest); err != nil {
		return nil, err
	}
	r.digest.Write(line)
	return r, nil
}

// Header is what the backup says of itself.
func (r *Reader) Header() *Header { return &r.header }

// Rows calls each for every row, and compares the end of the backup with what it has read. It is
// called once. Errors of each are returned as they are; others wrap ErrDamaged.
func (r *Reader) Rows(each func(*store.Table, store.Row) error) error {
	tables := store.TablesAt(r.header.Schema)
	for i := range tables {
		for range r.header.Tables[i].Rows {
			line, err := r.next(maxLine)
			if err != nil {
				return err
			}
			r.digest.Write(line)
			row, err := parseRow(line, &tables[i])
			if err != nil {
				return err
			}
			if err := each(&tables[i], row); err != nil {
				return err
			}
		}
	}
	return r.end()
}

// end reads the last line.
func (r *Reader) end() error {
	line, err := r.next(maxHeader)
	if err != nil {
		return err
	}
	var last trailer
	if err := json.Unmarshal(line, &last); err != nil {
		return fmt.Errorf("more rows than the header says: %w", ErrDamaged)
	}
	if !bytes.Equal(last.Digest, r.digest.Sum(nil)) {
		return fmt.Errorf("digest: %w", ErrDamaged)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the end: %w", errors.Join(ErrDamaged, err))
	}
	r.last = last
	return nil
}

// Prove reports whether the backup was made with the seal key that unseal opens with, as an error that
// wraps ErrProof when it was not. It is called after Rows.
func (r *Reader) Prove(unseal func(proof []byte) ([]byte, error)) error {
	digest, err := unseal(r.last.Proof)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if len(r.last.Digest) == 0 || !bytes.Equal(digest, r.last.Digest) {
		return ErrProof
	}
	return nil
}

// next reads a line, which is valid until the next call.
func (r *Reader) next(limit int) ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.line)+len(part) > limit {
			return nil, fmt.Errorf("a line has more than %d octets: %w", limit, ErrDamaged)
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			return r.line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("it ends too early: %w", ErrDamaged)
		default: // age says that a part was altered, or the disk fails
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}
