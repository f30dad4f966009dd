package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Domains of the hashes. What is hashed, and in which order, is a part of the version in the
// name: it never changes.
const (
	chainDomain = "pando audit v1\n"
	coverDomain = "pando audit cover v1\n"
)

// AuditHead is a place in the chain of audit rows, and the hash there: whoever has noted one
// can tell later that neither that row nor any before it has changed.
type AuditHead struct {
	Link int64
	Hash [sha256.Size]byte
}

// String is the head as administrators note it: "1234:9f86…".
func (h AuditHead) String() string {
	return strconv.FormatInt(h.Link, 10) + ":" + hex.EncodeToString(h.Hash[:])
}

// ParseAuditHead is the inverse of String; ErrInvalid.
func ParseAuditHead(text string) (AuditHead, error) {
	var h AuditHead
	link, sum, _ := strings.Cut(text, ":")
	var err error
	if h.Link, err = strconv.ParseInt(link, 10, 64); err != nil || h.Link < 1 {
		return AuditHead{}, fmt.Errorf("head %q is not LINK:HASH: %w", text, ErrInvalid)
	}
	octets, err := hex.DecodeString(sum)
	if err != nil || len(octets) != len(h.Hash) {
		return AuditHead{}, fmt.Errorf("head %q has no SHA-256 in hex: %w", text, ErrInvalid)
	}
	copy(h.Hash[:], octets)
	return h, nil
}

// Head is the end of a chain whose last row is a, which has a Hash.
func (a *Audit) Head() AuditHead {
	h := AuditHead{Link: a.Link}
	copy(h.Hash[:], a.Hash)
	return h
}

// AddToChain returns rows as they are to be written behind head, with what the store sets.
// loose are rows without a link, which somebody has written who knows no chain: the first row
// that is returned vouches for them then, and they get its Link. seqs are the numbers of the
// rows that are returned, ascending: one more than rows when there are loose ones. The caller
// holds a lock under which it has read head and loose, until it has committed.
func AddToChain(head AuditHead, loose []Audit, seqs []int64, rows []Audit) []Audit {
	chained := make([]Audit, 0, len(rows)+1)
	if len(loose) > 0 {
		chained = append(chained, cover(loose, rows[0].At))
	}
	chained = append(chained, rows...)
	for i := range chained {
		a := &chained[i]
		a.normalize()
		a.Seq, a.Link = seqs[i], head.Link+1
		head = AuditHead{Link: a.Link, Hash: a.sum(head.Hash)}
		a.Hash = slices.Clone(head.Hash[:])
	}
	return chained
}

// cover is a row that vouches for loose ones.
func cover(loose []Audit, at time.Time) Audit {
	c := newCovered()
	for i := range loose {
		c.add(&loose[i])
	}
	return Audit{At: at, Actor: ActorStore, Action: ActionCover, Target: strconv.FormatInt(c.first, 10), Detail: c.detail()}
}

// normalize makes a row what both databases give back: microseconds, and text that is UTF-8.
func (a *Audit) normalize() {
	a.At = a.At.UTC().Truncate(time.Microsecond)
	a.Actor, a.Action, a.Target = utf8Text(a.Actor), utf8Text(a.Action), utf8Text(a.Target)
	detail := make(map[string]string, len(a.Detail))
	for name, value := range a.Detail {
		detail[utf8Text(name)] = utf8Text(value)
	}
	a.Detail = detail
}

// utf8Text is text without what Postgres takes in no text.
func utf8Text(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// sum is the hash of a row behind one whose hash is previous.
func (a *Audit) sum(previous [sha256.Size]byte) [sha256.Size]byte {
	b := append([]byte(chainDomain), previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Link))
	return sha256.Sum256(a.encode(b))
}

// encode appends what is hashed of a row: each text with its length before it, so that no two
// rows have the same octets.
func (a *Audit) encode(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(a.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(a.At.UnixMicro()))
	for _, text := range []string{a.Actor, a.Action, a.Target} {
		b = appendText(b, text)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(len(a.Detail)))
	for _, name := range slices.Sorted(maps.Keys(a.Detail)) {
		b = appendText(appendText(b, name), a.Detail[name])
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
}

// covered is rows without a hash that one row vouches for.
type covered struct {
	sum         [sha256.Size]byte
	rows        int
	first, last int64
}

func newCovered() *covered { return &covered{sum: sha256.Sum256([]byte(coverDomain))} }

// add takes the next row, in the order of Seq.
func (c *covered) add(a *Audit) {
	c.sum = sha256.Sum256(a.encode(append([]byte(coverDomain), c.sum[:]...)))
	c.rows++
	c.first, c.last = cmp.Or(c.first, a.Seq), a.Seq
}

// detail is what the row says that vouches for them.
func (c *covered) detail() map[string]string {
	return map[string]string{
		"rows": strconv.Itoa(c.rows), "first": strconv.FormatInt(c.first, 10), "last": strconv.FormatInt(c.last, 10),
		"sha256": hex.EncodeToString(c.sum[:]),
	}
}
