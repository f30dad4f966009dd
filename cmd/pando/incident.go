package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const incidentsPath = "v1/incidents"

// incidentJSON is a mass re-issue, and how far it has come.
type incidentJSON struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason"`
	Issuers   []string  `json:"issuers"`
	StartsAt  time.Time `json:"starts_at"`
	Deadline  time.Time `json:"deadline"`
	Rate      float64   `json:"rate"`
	Total     int32     `json:"total"`
	ClosedAt  time.Time `json:"closed_at,omitzero"`
	Replaced  int32     `json:"replaced,omitempty"`
	Left      int32     `json:"left,omitempty"`
	Overdue   int32     `json:"overdue,omitempty"`
	RateNow   float64   `json:"rate_now,omitempty"`
	DoneAt    time.Time `json:"done_at,omitzero"`
}

// incidentListJSON is the latest incidents.
type incidentListJSON struct {
	Incidents []incidentJSON `json:"incidents"`
}

func newIncidentCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("incident", "Have many certificates replaced, and watch it",
		newIncidentListCommand(io, connection),
		newIncidentShowCommand(io, connection),
		newIncidentCreateCommand(io, connection),
	)
	group.Long = `Have many certificates replaced, at a rate and before a deadline, and watch it. To taint an
authority declares an incident by itself.`
	connection.addAdministratorTo(group)
	return group
}

func newIncidentListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the latest incidents, the newest first",
		Example: `  pando incident list
  pando incident list -o json`,
		Args: cobra.NoArgs,
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		list, err := listIncidents(cmd.Context(), client)
		if err != nil {
			return err
		}
		return incidentsResult(list, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func listIncidents(ctx context.Context, client *apiClient) (list incidentListJSON, err error) {
	err = client.call(ctx, apiRequest{method: http.MethodGet, path: incidentsPath}, &list)
	return list, err
}

func incidentsResult(list incidentListJSON, now time.Time) result {
	r := result{value: list, table: func(w *tabwriter.Writer) {
		row(w, "INCIDENT", "STATE", "DECLARED", "REPLACED", "OVERDUE", "RATE", "DEADLINE", "DONE", "REASON")
		for _, i := range list.Incidents {
			row(w, i.ID, i.stateText(), timeText(i.CreatedAt, now), i.replacedText(), strconv.Itoa(int(i.Overdue)), i.rateText(),
				timeText(i.Deadline, now), timeText(i.DoneAt, now), i.Reason)
		}
	}}
	for _, i := range list.Incidents {
		r.ids = append(r.ids, i.ID)
	}
	return r
}

func newIncidentShowCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show how far one incident has come",
		Long: `Show how far one incident has come. OVERDUE is by how many the pace is missed. With --watch it
shows a progress bar until the incident has ended; without a terminal, a line for each change.`,
		Example: `  pando incident show GC7BVYMB36FPVJMS
  pando incident show GC7BVYMB36FPVJMS --watch`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFirst(connection, incidentCompletions),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	watch := cmd.Flags().Bool("watch", false, "watch it until it has ended")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(incidentsPath, args[0])
		if err != nil {
			return err
		}
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		if *watch {
			dial := func() (*apiClient, error) { return connection.dial(io, time.Now()) }
			if client, err = watchIncident(cmd.Context(), io, dial, path); err != nil {
				return err
			}
		}
		incident, err := getIncident(cmd.Context(), client, path)
		if err != nil {
			return err
		}
		return incidentResult(incident, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func getIncident(ctx context.Context, client *apiClient, path string) (incident incidentJSON, err error) {
	err = client.call(ctx, apiRequest{method: http.MethodGet, path: path}, &incident)
	return incident, err
}

// watchPeriod is how often somebody looks who watches: the count costs the database seconds
// where there are millions.
const watchPeriod = 2 * time.Second

// watchIncident shows an incident until it has ended. It connects anew for each look: the
// certificate of whoever watches may be one of those that are replaced.
func watchIncident(ctx context.Context, io stdio, dial func() (*apiClient, error), path string) (*apiClient, error) {
	show := lines(io)
	if file, ok := io.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		show = bar(file)
	}
	for {
		client, err := dial()
		if err != nil {
			return nil, err
		}
		incident, err := getIncident(ctx, client, path)
		if err != nil {
			return nil, err
		}
		if err := show(incident); err != nil {
			return nil, err
		}
		if !incident.ClosedAt.IsZero() {
			return client, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(watchPeriod):
		}
	}
}

// lines writes a line whenever something has changed.
func lines(io stdio) func(incidentJSON) error {
	last := ""
	return func(i incidentJSON) error {
		line := fmt.Sprintf("%s replaced, %d overdue, %s", i.replacedText(), i.Overdue, i.rateText())
		if line == last {
			return nil
		}
		last = line
		_, err := fmt.Fprintln(io.err, line)
		return err
	}
}

// bar draws a progress bar.
func bar(file *os.File) func(incidentJSON) error {
	var drawn *progressbar.ProgressBar
	return func(i incidentJSON) error {
		if drawn == nil {
			drawn = progressbar.NewOptions(int(i.Total), progressbar.OptionSetWriter(file), progressbar.OptionShowCount(),
				progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false), progressbar.OptionOnCompletion(func() { fmt.Fprintln(file) }))
		}
		drawn.Describe(fmt.Sprintf("%d overdue, %s", i.Overdue, i.rateText()))
		return drawn.Set(int(i.Replaced))
	}
}

func newIncidentCreateCommand(io stdio, connection *connectionFlags) *cobra.Command {
	f := &orderFlags{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Have the certificates of intermediates replaced",
		Long: `Have the certificates of intermediates replaced, of the active one unless --issuer says otherwise.
No authority changes. The rate and the deadline are chosen, or refused with the rate that fits.`,
		Example: `  pando incident create --reason "keys with too little entropy" --dry-run
  pando incident create --reason "keys with too little entropy" --issuer 8052de7c88641a6b --rate 50 --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, io, connection, incidentsPath) },
	}
	f.add(cmd)
	f.addPace(cmd)
	cmd.Flags().StringSliceVar(&f.order.Issuers, "issuer", nil, "intermediates whose certificates are to be replaced (default: the active one)")
	return cmd
}

func incidentResult(i incidentJSON, now time.Time) result {
	return result{value: i, ids: []string{i.ID}, table: func(w *tabwriter.Writer) {
		fact(w, "Incident", i.ID)
		fact(w, "State", i.stateText())
		fact(w, "Declared", timeText(i.CreatedAt, now))
		fact(w, "By", i.Actor)
		fact(w, "Reason", i.Reason)
		fact(w, "Issuers", strings.Join(i.Issuers, ", "))
		fact(w, "Replaced", i.replacedText())
		fact(w, "Overdue", strconv.Itoa(int(i.Overdue)))
		fact(w, "Rate", i.rateText())
		fact(w, "Deadline", timeText(i.Deadline, now))
		fact(w, "Done", timeText(i.DoneAt, now))
		fact(w, "Closed", timeText(i.ClosedAt, now))
	}}
}

func (i *incidentJSON) stateText() string {
	if i.ClosedAt.IsZero() {
		return "open"
	}
	return "closed"
}

// replacedText is how many are replaced, as "9688/10000 (96%)".
func (i *incidentJSON) replacedText() string {
	return fmt.Sprintf("%d/%d (%d%%)", i.Replaced, i.Total, int64(i.Replaced)*100/int64(max(1, i.Total)))
}

// rateText is the rate of the last minute, of that which is wanted.
func (i *incidentJSON) rateText() string {
	return rateText(i.RateNow) + " of " + rateText(i.Rate) + " per second"
}

func rateText(rate float64) string { return strconv.FormatFloat(rate, 'f', 2, 64) }

// incidentCompletions are the IDs of the incidents, with their reasons beside them.
func incidentCompletions(ctx context.Context, client *apiClient) ([]cobra.Completion, error) {
	list, err := listIncidents(ctx, client)
	var found []cobra.Completion
	for _, i := range list.Incidents {
		found = append(found, cobra.CompletionWithDesc(i.ID, printable(i.stateText()+": "+i.Reason)))
	}
	return found, err
}
