package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/pando-ca/pando/store"
)

// encoder writes the lines of a backup.
type encoder struct {
	out    *bufio.Writer
	digest hash.Hash
	line   []byte
}

func newEncoder(out io.Writer) *encoder {
	return &encoder{out: bufio.NewWriterSize(out, 64<<10), digest: sha256.New()}
}

func (e *encoder) header(h *Header) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return e.write(append(text, '\n'))
}

func (e *encoder) row(t *store.Table, row store.Row) (err error) {
	if e.line, err = appendRow(e.line[:0], t, row); err != nil {
		return err
	}
	if len(e.line) > maxLine {
		return fmt.Errorf("a row of %s has %d octets, and no more than %d can be kept: %w", t.Name, len(e.line), maxLine, store.ErrInvalid)
	}
	return e.write(e.line)
}

// trailer ends the backup.
func (e *encoder) trailer(prove func(digest []byte) ([]byte, error)) error {
	last := trailer{Digest: e.digest.Sum(nil)}
	if prove != nil {
		var err error
		if last.Proof, err = prove(last.Digest); err != nil {
			return fmt.Errorf("prove: %w", err)
		}
	}
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	if _, err := e.out.Write(append(text, '\n')); err != nil {
		return err
	}
	return e.out.Flush()
}

func (e *encoder) write(line []byte) error {
	e.digest.Write(line)
	_, err := e.out.Write(line)
	return err
}
