package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// stdio is the three streams of the process. Results go to out, everything else to err.
type stdio struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// Exit codes. They are part of the command line's interface: see docs/deployment.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line is wrong; nothing was tried
	exitNotFound    = 3 // the object that was named does not exist
	exitDenied      = 4 // not authenticated, or not allowed
	exitUnavailable = 5 // the server or the database cannot be reached; try again
	exitNotReady    = 6 // the question was answered with no

	exitWarning  = 10 // pando doctor has found something that can wait
	exitCritical = 11 // pando doctor has found something that cannot
)

// completionName is the name that cobra gives to the command of addCompletion.
const completionName = "completion"

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withExitCode makes err end the process with this code. It returns nil for nil.
func withExitCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// usageErrorf is an error of whoever typed the command line.
func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode is the code that the process ends with after err.
func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailed
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, io stdio) int {
	root := newRootCommand(io)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(io.err, "pando: %v\n", err)
	}
	return exitCode(err)
}

// newRootCommand builds the tree of commands. Each command is made in a file of its own.
func newRootCommand(io stdio) *cobra.Command {
	root := newGroup("pando", "A certificate authority for workloads",
		newAgentCommand(io),
		newAuditCommand(io),
		newAuthorityCommand(io),
		newBackupCommand(io),
		newCeremonyCommand(io),
		newCertCommand(io),
		newDemoCommand(io),
		newDoctorCommand(io),
		newInitCommand(io),
		newMigrateCommand(io),
		newRecoverCommand(io),
		newServeCommand(io),
		newConfigCommand(io),
		newContextCommand(io),
		newEntryCommand(io),
		newForgetKeyCommand(io),
		newGetCommand(io),
		newHealthCommand(io),
		newIdentityCommand(io),
		newIncidentCommand(io),
		newInspectCommand(io),
		newMTLSCommand(io),
		newProbeCommand(io),
		newScheduleCommand(io),
		newTokenCommand(io),
		newTopCommand(io),
		newVerifyCommand(io),
		newVersionCommand(io),
	)
	strict := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help() // who types the bare name asks what there is
		}
		return strict(cmd, args)
	}
	addCompletion(root)
	root.SilenceUsage = true // a failure is one line, not a page
	root.SilenceErrors = true
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	codeUsage(root)
	return root
}

// newGroup is a command that only holds others. Without one of them it is a usage error,
// where cobra would print help and succeed.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE:  refuseGroup,
	}
	group.AddCommand(commands...)
	return group
}

// refuseGroup is what a command does that only holds others.
func refuseGroup(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("unknown command %q; see %s --help", args[0], cmd.CommandPath())
	}
	return usageErrorf("a command is needed; see %s --help", cmd.CommandPath())
}

// addCompletion adds cobra's command that prints completion scripts, which would otherwise
// appear by itself and take an unknown shell for a request for help.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == completionName {
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, refuseGroup
		}
	}
}

// codeUsage gives the exit code for wrong usage to all errors that arise before a command of
// the tree runs: unknown flags, wrong arguments, missing flags.
func codeUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withExitCode(exitUsage, err) })
	if validate := cmd.Args; validate != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := validate(cmd, args); err != nil {
				return usageErrorf("%w; it is %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		codeUsage(sub)
	}
}
