package pgserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that the server runs as. PostgreSQL refuses to run as root.
type account struct {
	credential *syscall.Credential // nil: as this process
}

// serverAccount is the user of this process, or, for root, postgres or nobody.
func serverAccount() (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return account{}, fmt.Errorf("find a user for postgres: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user id of %s: %w", found.Username, err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("group id of %s: %w", found.Username, err)
	}
	return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// Owner is the user and the group that a server runs as, which may differ from those of this
// process: whoever writes files for the server must know.
func Owner() (uid, gid int, err error) {
	a, err := serverAccount()
	if err != nil || a.credential == nil {
		return os.Getuid(), os.Getgid(), err
	}
	return int(a.credential.Uid), int(a.credential.Gid), nil
}

// own gives a directory to the account.
func (a account) own(dir string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
		return fmt.Errorf("give directory to the server: %w", err)
	}
	return nil
}
