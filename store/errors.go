package store

import "errors"

// Errors that a store returns, alone or wrapped. A caller branches on them with
// [errors.Is]; any other error is the driver's and means that the outcome is not known.
var (
	// ErrNotFound says that no row has this key.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a row with this key is there already.
	ErrExists = errors.New("already exists")
	// ErrConflict says that a compare-and-swap lost: somebody else changed the row first.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable says that the database cannot be reached or did not confirm the
	// commit. The write may have happened.
	ErrUnavailable = errors.New("database unavailable")
	// ErrOverloaded says that too many issuances wait to be written. Nothing was written.
	ErrOverloaded = errors.New("too many issuances are waiting")
	// ErrInvalid says that a row cannot be kept as it is, whatever the database holds:
	// an error of the program that made it, or text that no database takes. Nothing was
	// written.
	ErrInvalid = errors.New("row is not valid")
	// ErrSchemaOld says that migrations have to be applied before this binary may run.
	ErrSchemaOld = errors.New("database schema is older than this binary")
	// ErrSchemaNew says that a newer binary has migrated the database, and that this one
	// cannot run on it.
	ErrSchemaNew = errors.New("database schema is newer than this binary")
	// ErrNotEmpty says that a database holds something, and is not restored into.
	ErrNotEmpty = errors.New("database is not empty")
	// ErrSchemaBreaks says that replicas which run could not go on after the migrations that
	// the database lacks. Nothing was changed.
	ErrSchemaBreaks = errors.New("replicas of the earlier schema cannot run beside these migrations")

	// ErrSerialTaken refuses an issuance whose serial number exists: draw another one.
	ErrSerialTaken = errors.New("serial number exists")
	// ErrCallerRevoked refuses an issuance whose caller authenticated with a certificate
	// that has been revoked.
	ErrCallerRevoked = errors.New("certificate of the caller is revoked")
	// ErrKeyBlocked refuses an issuance for a public key that has been blocked.
	ErrKeyBlocked = errors.New("public key is blocked")
	// ErrEntryGone refuses an issuance whose entry has been deleted, or is not the entry
	// that its join token is bound to.
	ErrEntryGone = errors.New("entry no longer exists")
	// ErrTokenUsed refuses an issuance whose join token was consumed by another one.
	ErrTokenUsed = errors.New("join token is already used")
	// ErrTokenExpired refuses an issuance whose join token has expired; also one whose
	// token is not there, since used and expired tokens are pruned.
	ErrTokenExpired = errors.New("join token has expired")
	// ErrIssuerInactive refuses an issuance whose issuer is not active in the current
	// generation: the replica that signed it has not followed yet. A store without a generation
	// does not judge this.
	ErrIssuerInactive = errors.New("issuer is not active")
	// ErrIssuerActive refuses to revoke what an issuer has signed while it goes on signing.
	ErrIssuerActive = errors.New("issuer is active")
	// ErrFenced says that the lease under which a write was tried has another term by now.
	ErrFenced = errors.New("lease is lost")
	// ErrTooMany says that there are as many rows of a kind as there may be.
	ErrTooMany = errors.New("there are too many")
	// ErrReplayed refuses an issuance whose JWT (issuer and jti) has been used before.
	ErrReplayed = errors.New("token was used before")
)
