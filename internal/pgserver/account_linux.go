package pgserver

import "syscall"

// attributes makes a child run as the account, and end when the thread that started it does.
func (a account) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
}
