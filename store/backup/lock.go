package backup

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Lock is what backups are encrypted to.
type Lock struct {
	recipients []age.Recipient
	passphrase string
}

// MaxRecipients bounds the recipients of a backup.
const MaxRecipients = 20

// NewLock encrypts to recipients: public keys of age, one a line, age1… or age1pq1…; lines that begin
// with # are comments. Both kinds at once are refused.
func NewLock(text string) (*Lock, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	if len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("recipients: %d, and no more than %d are possible", len(recipients), MaxRecipients)
	}
	hybrid := isHybrid(recipients[0])
	for _, r := range recipients {
		if isHybrid(r) != hybrid {
			return nil, errors.New("recipients: age1… and age1pq1… cannot be mixed: the file would be no safer than with the first alone")
		}
	}
	return &Lock{recipients: recipients}, nil
}

func isHybrid(r age.Recipient) bool {
	_, ok := r.(*age.HybridRecipient)
	return ok
}

// NewPassphraseLock encrypts under a passphrase.
func NewPassphraseLock(passphrase string) *Lock { return &Lock{passphrase: passphrase} }

// open returns what encrypts to out, and a key that opens the result: the passphrase, or one that is
// drawn for this and forgotten afterwards, so that the file can be read back by who holds no key of
// the recipients.
func (l *Lock) open(out io.Writer) (io.WriteCloser, *Key, error) {
	if l.passphrase != "" {
		recipient, err := age.NewScryptRecipient(l.passphrase)
		if err != nil {
			return nil, nil, fmt.Errorf("passphrase: %w", err)
		}
		key, err := NewPassphraseKey(l.passphrase)
		if err != nil {
			return nil, nil, err
		}
		w, err := age.Encrypt(out, recipient)
		return w, key, err
	}
	once, key, err := l.once()
	if err != nil {
		return nil, nil, err
	}
	w, err := age.Encrypt(out, append([]age.Recipient{once}, l.recipients...)...)
	return w, key, err
}

// once draws a key of the kind of the recipients.
func (l *Lock) once() (age.Recipient, *Key, error) {
	if isHybrid(l.recipients[0]) {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, err
		}
		return identity.Recipient(), &Key{[]age.Identity{identity}}, nil
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return identity.Recipient(), &Key{[]age.Identity{identity}}, nil
}

// Key opens backups.
type Key struct {
	identities []age.Identity
}

// NewKey opens with private keys of age, one a line. Its error repeats none of them.
func NewKey(text string) (*Key, error) {
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("identities: it holds no private key of age, or something else beside")
	}
	return &Key{identities}, nil
}

// maxWorkFactor is four times the memory that a file of this package asks for: 1 GiB. Who made the
// file chooses the factor.
const maxWorkFactor = 20

// NewPassphraseKey opens with a passphrase.
func NewPassphraseKey(passphrase string) (*Key, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	return &Key{[]age.Identity{identity}}, nil
}

// ErrKey says that a key does not open a backup.
var ErrKey = errors.New("none of the keys opens this backup")

// decrypt returns what reads the plaintext.
func (k *Key) decrypt(in io.Reader) (io.Reader, error) {
	plain, err := age.Decrypt(in, k.identities...)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return nil, ErrKey
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return plain, nil
}
