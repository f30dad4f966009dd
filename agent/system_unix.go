//go:build !windows

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// signals are those that programs reload on.
var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}

func signalNames() string { return "HUP, USR1, USR2" }

// private reports why a directory is not this user's alone.
func private(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return errors.New("is not a directory")
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("has mode %04o: nobody else may enter it (chmod 700)", info.Mode().Perm())
	}
	return nil
}

// killGroup has the end of cmd's context end all that it has started, too.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// sendSignal sends a signal to the process whose number is in a file.
func sendSignal(name, pidFile string) error {
	info, err := os.Stat(pidFile)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody: it could name any process", pidFile)
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s does not hold the number of a process", pidFile)
	}
	if err := syscall.Kill(pid, signals[name]); err != nil {
		return fmt.Errorf("signal %s to process %d of %s: %w", name, pid, pidFile, err)
	}
	return nil
}
