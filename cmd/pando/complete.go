package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca/policy"
)

// completionTimeout is what somebody who pressed Tab waits for; then there is no suggestion.
const completionTimeout = 2 * time.Second

// completeFlag offers values for a flag that the command has.
func completeFlag(cmd *cobra.Command, name string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(name, complete); err != nil {
		panic(err) // the flag is not there or has a completion already: a mistake in this program
	}
}

// completeContexts offers the names in the context file.
func completeContexts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path, err := contextFilePath()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, err := loadContexts(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(file.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

// completeEntries offers the IDs of one page of entries, with their SPIFFE IDs beside them,
// for a command that takes at most so many; 0 is any number.
func completeEntries(connection *connectionFlags, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		client, err := connection.dial(stdio{err: io.Discard}, time.Now())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var page entryPageJSON
		if err := client.call(ctx, apiRequest{method: "GET", path: entriesPath}, &page); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, e := range page.Entries {
			if !slices.Contains(args, e.ID) {
				found = append(found, cobra.CompletionWithDesc(e.ID, printable(e.SPIFFEID)))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProfiles offers the profiles that are always there; others are known to the server only.
func completeProfiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{policy.ProfileWorkload, policy.ProfileServer, profileAdministrator}, cobra.ShellCompDirectiveNoFileComp
}
