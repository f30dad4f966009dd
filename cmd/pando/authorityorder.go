package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// orderJSON is a step of the rotation that is taken by hand, as the API wants it.
type orderJSON struct {
	Role     string     `json:"role,omitempty"`
	Issuers  []string   `json:"issuers,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Rate     float64    `json:"rate,omitempty"`
	Deadline *time.Time `json:"deadline,omitempty"`
	Force    bool       `json:"force,omitempty"`
	DryRun   bool       `json:"dry_run,omitempty"`
}

// outcomeJSON is what a step did, or would do.
type outcomeJSON struct {
	DryRun     bool          `json:"dry_run,omitempty"`
	Generation uint64        `json:"generation"`
	Changes    []changeJSON  `json:"changes,omitempty"`
	Incident   *incidentJSON `json:"incident,omitempty"`
	CutOff     int32         `json:"cut_off,omitempty"`
	Followers  int32         `json:"followers,omitempty"`
	Behind     int32         `json:"behind,omitempty"`
	Objection  string        `json:"objection,omitempty"`
}

// changeJSON is what happens to one authority.
type changeJSON struct {
	Authority string `json:"authority,omitempty"`
	Role      string `json:"role"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
}

// orderFlags are what steps have in common.
type orderFlags struct {
	order    orderJSON
	deadline string
	yes      bool
	output   *choice
}

// add adds the flags that every step has.
func (f *orderFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.order.Reason, "reason", "", "why, for the audit: one line")
	cmd.Flags().BoolVar(&f.order.DryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	f.output = addOutput(cmd, formTable, formJSON, formYAML)
}

func (f *orderFlags) addForce(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&f.order.Force, "force", false, usage)
}

// addPace adds the flags of steps that declare an incident.
func (f *orderFlags) addPace(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&f.order.Rate, "rate", 0, "certificates per second that are to be replaced (default: chosen)")
	cmd.Flags().StringVar(&f.deadline, "deadline", "", "when all are to be replaced: a time, or a duration from now (default: chosen)")
}

// run takes a step: it says what would be done, asks, and does it.
func (f *orderFlags) run(cmd *cobra.Command, io stdio, connection *connectionFlags, path string) error {
	now := time.Now()
	var err error
	if f.order.Deadline, err = parseDeadline(f.deadline, now); err != nil {
		return err
	}
	client, err := connection.dial(io, now)
	if err != nil {
		return err
	}
	if !f.order.DryRun && !f.yes {
		if err := f.confirm(cmd.Context(), io, client, path); err != nil {
			return err
		}
	}
	var outcome outcomeJSON
	if err := client.call(cmd.Context(), apiRequest{method: http.MethodPost, path: path, body: f.order}, &outcome); err != nil {
		return needsForce(err)
	}
	return outcomeResult(outcome, time.Now()).write(io.out, f.output.value)
}

// confirm shows the dry run and asks.
func (f *orderFlags) confirm(ctx context.Context, io stdio, client *apiClient, path string) error {
	dry := f.order
	dry.DryRun = true
	var outcome outcomeJSON
	if err := client.call(ctx, apiRequest{method: http.MethodPost, path: path, body: dry}, &outcome); err != nil {
		return err
	}
	if err := outcomeResult(outcome, time.Now()).write(io.err, formTable); err != nil {
		return err
	}
	if outcome.Objection != "" && !f.order.Force {
		return errors.New("it is not done without --force")
	}
	return askToDo(io)
}

// askToDo asks whether to do what was shown.
func askToDo(io stdio) error {
	fmt.Fprint(io.err, "Do it? [y/N] ")
	answer, err := bufio.NewReader(io.in).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		if err != nil {
			fmt.Fprintln(io.err)
		}
		return errors.New("nothing was done: answer y, or give --yes")
	}
	return nil
}

// needsForce names the flag where force would do it.
func needsForce(err error) error {
	var problem *apiError
	if errors.As(err, &problem) && problem.Code == "needs_force" {
		return fmt.Errorf("%w: it is not done without --force", err)
	}
	return err
}

// parseDeadline reads a time, or a duration from now; nil for none.
func parseDeadline(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return &t, nil
	}
	var d duration
	if err := d.Set(text); err != nil || d <= 0 {
		return nil, usageErrorf("--deadline %q is neither a time such as 2030-01-01T00:00:00Z nor a duration such as 4h", text)
	}
	t := now.Add(time.Duration(d)).UTC()
	return &t, nil
}

func outcomeResult(o outcomeJSON, now time.Time) result {
	return result{value: o, table: func(w *tabwriter.Writer) {
		if o.DryRun {
			fact(w, "Dry run", "nothing was done; it would be as follows")
		}
		for _, c := range o.Changes {
			fact(w, titled(c.Role), fmt.Sprintf("%s: %s -> %s", firstOf(c.Authority, "a new one"), firstOf(c.From, "not there"), c.To))
		}
		if o.Followers > 0 {
			fact(w, "Behind", fmt.Sprintf("%d of %d followers have not acknowledged the root", o.Behind, o.Followers))
		}
		fact(w, "Cut off", strconv.Itoa(int(o.CutOff))+" live certificates that nobody has renewed")
		fact(w, "Objection", o.Objection)
		if i := o.Incident; i != nil {
			name := i.ID
			if o.DryRun {
				name = "one would be declared"
			}
			fact(w, "Incident", name)
			fact(w, "Certificates", fmt.Sprintf("%d, %s per second", i.Total, rateText(i.Rate)))
			fact(w, "Deadline", timeText(i.Deadline, now))
		}
	}}
}

// titled begins with a capital.
func titled(word string) string {
	if word == "" {
		return word
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

func newAuthorityPrepareCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Publish the next root now",
		Long: `Publish the next root now, instead of when it is due. It signs nothing until those who follow
have acknowledged it, or until every certificate from before has expired; see pando authority list.`,
		Example: `  pando authority prepare --dry-run
  pando authority prepare --yes --reason "yearly exercise"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd, io, connection, authoritiesPath+"/prepare")
		},
	}
	f.add(cmd)
	return cmd
}

func newAuthorityRotateCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the intermediate now, or prepare the next root",
		Long: `Replace the active intermediate now. With --role root it prepares the next root, which is used
once its gate opens.`,
		Example: `  pando authority rotate --role intermediate --dry-run
  pando authority rotate --role intermediate --yes`,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	role := addChoice(cmd, "role", "what to replace", "intermediate", "root")
	role.value = "intermediate"
	cmd.Flags().Lookup("role").DefValue = role.value
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.order.Role = role.value
		return f.run(cmd, io, connection, authoritiesPath+"/rotate")
	}
	return cmd
}

// orderFor has a command take a step for the authority that is its argument.
func (f *orderFlags) orderFor(cmd *cobra.Command, io stdio, connection *connectionFlags, verb string) {
	cmd.Args = cobra.ExactArgs(1)
	cmd.ValidArgsFunction = completeFirst(connection, authorityCompletions)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(authoritiesPath, args[0])
		if err != nil {
			return err
		}
		return f.run(cmd, io, connection, path+"/"+verb)
	}
}

func newAuthorityActivateCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "activate ID",
		Short: "Have a prepared root sign now",
		Long: `Have a prepared root sign now. Before its gate is open it takes --force: those who have not
acknowledged it are then carried by the cross-certificate alone.`,
		Example: `  pando authority activate 8052de7c88641a6b --dry-run
  pando authority activate 8052de7c88641a6b --force --yes --reason "yearly exercise"`,
	}
	f.add(cmd)
	f.addForce(cmd, "also before its gate is open")
	f.orderFor(cmd, io, connection, "activate")
	return cmd
}

func newAuthorityTaintCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "taint ID",
		Short: "Take an authority that may be compromised out of use",
		Long: `Take an authority that may be compromised out of use. If it is active its successor takes over
in the same step; with a root, the intermediates under it are tainted too. What depends on it
stays good, and is replaced in an incident: follow it with pando incident show, and then revoke
the authority. A --rate or --deadline that does not fit is refused, with the rate that does.`,
		Example: `  pando authority taint 8052de7c88641a6b --reason "key was copied" --dry-run
  pando authority taint 8052de7c88641a6b --reason "key was copied" --deadline 1h --yes`,
	}
	f.add(cmd)
	f.addPace(cmd)
	f.orderFor(cmd, io, connection, "taint")
	return cmd
}

func newAuthorityRevokeCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Have nobody trust an authority any more",
		Long: `Have nobody trust an authority any more, and nothing that it signed; its key is destroyed. This
cannot be undone. While live certificates depend on it, it takes --force, and cuts their holders
off until they enrol again. An active authority is tainted first.`,
		Example: `  pando authority revoke 8052de7c88641a6b --reason "all is replaced" --dry-run
  pando authority revoke 8052de7c88641a6b --reason "key is in use" --force --yes`,
	}
	f.add(cmd)
	f.addForce(cmd, "also when live certificates depend on it")
	f.orderFor(cmd, io, connection, "revoke")
	return cmd
}
