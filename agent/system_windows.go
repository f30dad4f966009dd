package agent

import (
	"errors"
	"io/fs"
	"os/exec"
	"syscall"
)

// signals are those that programs reload on: Windows has none.
var signals map[string]syscall.Signal

func signalNames() string { return "none on Windows" }

// private reports why a directory is not this user's alone. Access lists are not looked at.
func private(info fs.FileInfo) error {
	if !info.IsDir() {
		return errors.New("is not a directory")
	}
	return nil
}

// killGroup has nothing to add: the end of cmd's context ends the command itself.
func killGroup(*exec.Cmd) {}

func sendSignal(string, string) error { return errors.New("there are no signals on Windows") }
