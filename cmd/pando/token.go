package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const tokensPath = "v1/join-tokens"

// formToken prints nothing but the secret, for $(…) and pipes.
const formToken = "token"

func newTokenCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("token", "Make join tokens, which enrol workloads", newTokenCreateCommand(io, connection))
	connection.addAdministratorTo(group)
	return group
}

func newTokenCreateCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var ttl duration
	var out string
	cmd := &cobra.Command{
		Use:   "create ENTRY",
		Short: "Make a join token",
		Long: `Make a join token, which enrols one workload under one entry, once. It is shown this once:
standard output has the secret and nothing else, so that it can be piped; what is to be known of
it goes to standard error.`,
		Example: `  pando token create ent_0123456789abcdef01234567
  pando token create ent_0123456789abcdef01234567 --ttl 1h --out web.token
  pando get --token "$(pando token create "$ENTRY")" --out /etc/web`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeEntries(connection, 1),
	}
	addDuration(cmd, &ttl, "ttl", "how long the token may be used, one second to 7d (default 10m)")
	cmd.Flags().StringVar(&out, "out", "", "write the token to this `file`, readable by its owner only; it must not exist")
	output := addOutput(cmd, formToken, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("ttl") && time.Duration(ttl) < time.Second {
			return usageErrorf("--ttl %s is under one second", ttl)
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		to := deliverTo{form: output.value}
		if out != "" {
			// First: a token that cannot be written would stay behind, usable by nobody.
			if to.file, err = openOut(out, 0o600, false); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			defer to.file.discard()
		}
		var token tokenJSON
		request := createTokenJSON{EntryID: args[0], TTL: wireDuration(ttl)}
		err = client.call(cmd.Context(), apiRequest{method: http.MethodPost, path: tokensPath, body: request}, &token)
		if err != nil {
			return err
		}
		return deliverToken(io, token, to, now)
	}
	return cmd
}

// deliverTo is where and in which form a token goes.
type deliverTo struct {
	form string
	file *outFile // nil: standard output
}

func deliverToken(io stdio, token tokenJSON, to deliverTo, now time.Time) error {
	if to.file != nil {
		if err := to.file.write([]byte(token.Token + "\n")); err != nil {
			return fmt.Errorf("token %s: %w", token.ID, err)
		}
	}
	switch {
	case to.form != formToken:
		return result{value: token}.write(io.out, to.form)
	case to.file == nil:
		fmt.Fprintln(io.out, token.Token)
	}
	fmt.Fprintf(io.err, "join token %s for entry %s, to be used once, expires %s\n",
		printable(token.ID), printable(token.EntryID), timeText(token.ExpiresAt, now))
	return nil
}
