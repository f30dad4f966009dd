package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pando-ca/pando/store"
)

// File is a backup that is open for reading.
type File struct {
	*Reader
	file *os.File
}

// Open opens a backup and reads its header. latest is the schema of this binary. The error wraps
// ErrKey, ErrDamaged or ErrNewer unless the file cannot be read. The caller closes the File.
func Open(path string, key *Key, latest int64) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // it is read twice
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := open(file, key, latest)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &File{r, file}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// open decrypts.
func open(in io.Reader, key *Key, latest int64) (*Reader, error) {
	plain, err := key.decrypt(in)
	if err != nil {
		return nil, err
	}
	return NewReader(plain, latest)
}

// Check says what is to be found of a backup.
type Check struct {
	Path   string
	Key    *Key
	Latest int64 // schema of this binary

	// Unseal is as in Config; none: it is not asked who made the backup.
	Unseal func(proof []byte) ([]byte, error)
	// Progress is told how many rows are read, of how many. None: nobody is told.
	Progress func(done, total int64)
}

// Verify reads a backup to its end. Errors are those of Open, of [Reader.Rows] and [Reader.Prove].
func Verify(c Check) (*Summary, error) {
	summary, _, err := c.verify()
	return summary, err
}

// verify returns the digest of what is encrypted, too.
func (c *Check) verify() (*Summary, []byte, error) {
	f, err := Open(c.Path, c.Key, c.Latest)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	done, total := int64(0), f.header.Rows()
	domain := ""
	err = f.Rows(func(t *store.Table, row store.Row) error {
		if t.Name == generationTable {
			domain, _ = row[1].(string)
		}
		if done++; c.Progress != nil {
			c.Progress(done, total)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case domain != f.header.TrustDomain:
		return nil, nil, fmt.Errorf("the header is of another CA: %w", ErrDamaged)
	}
	if c.Unseal != nil {
		if err := f.Prove(c.Unseal); err != nil {
			return nil, nil, err
		}
	}
	digest := sha256.New()
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	size, err := io.Copy(digest, f.file)
	if err != nil {
		return nil, nil, err
	}
	return &Summary{f.header, size, hex.EncodeToString(digest.Sum(nil))}, f.last.Digest, nil
}
