//go:build unix && !linux

package pgserver

import "syscall"

// attributes makes a child run as the account.
func (a account) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
}
