package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const schedulePath = "v1/schedule"

// jobJSON is work that recurs, as the replica that answers knows it.
type jobJSON struct {
	Name         string    `json:"name"`
	Schedule     string    `json:"schedule"`
	NextRun      time.Time `json:"next_run"`
	Running      bool      `json:"running,omitempty"`
	LastSuccess  time.Time `json:"last_success,omitzero"`
	LastDuration string    `json:"last_duration,omitempty"` // seconds: "0.25s"
	LastError    string    `json:"last_error,omitempty"`
	Succeeded    uint64    `json:"succeeded,omitempty"`
	Failed       uint64    `json:"failed,omitempty"`
	Skipped      uint64    `json:"skipped,omitempty"`
}

// jobListJSON is all jobs.
type jobListJSON struct {
	Jobs []jobJSON `json:"jobs"`
}

func newScheduleCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("schedule", "Look at the work that recurs, and do it now",
		newScheduleListCommand(io, connection),
		newScheduleRunCommand(io, connection),
	)
	group.Long = `Look at the jobs: work that each replica does again and again. What is shown is what the
replica that answers knows, since it started.`
	connection.addAdministratorTo(group)
	return group
}

func newScheduleListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the jobs of the replica that answers",
		Example: `  pando schedule list
  pando schedule list -o json`,
		Args: cobra.NoArgs,
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		list, err := listJobs(cmd.Context(), client)
		if err != nil {
			return err
		}
		return jobsResult(list, now).write(io.out, output.value)
	}
	return cmd
}

func listJobs(ctx context.Context, client *apiClient) (list jobListJSON, err error) {
	err = client.call(ctx, apiRequest{method: http.MethodGet, path: schedulePath}, &list)
	return list, err
}

func jobsResult(list jobListJSON, now time.Time) result {
	r := result{value: list, table: func(w *tabwriter.Writer) {
		row(w, "JOB", "SCHEDULE", "STATE", "NEXT RUN", "LAST SUCCESS", "LAST DURATION", "LAST ERROR")
		for _, j := range list.Jobs {
			row(w, j.Name, j.Schedule, j.stateText(), timeText(j.NextRun, now), timeText(j.LastSuccess, now), j.durationText(), j.LastError)
		}
	}}
	for _, j := range list.Jobs {
		r.ids = append(r.ids, j.Name)
	}
	return r
}

func newScheduleRunCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run JOB",
		Short: "Run a job now and wait for its end",
		Long: `Run a job now, on the replica that answers, and wait for its end. A run that fails is shown
like one that succeeds, and the exit code is 1. A job that is running already is not run a second
time. It takes the role admin.`,
		Example: `  pando schedule run prune
  pando schedule run rotate --timeout 2m -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFirst(connection, jobCompletions),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(schedulePath, args[0])
		if err != nil {
			return err
		}
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		var job jobJSON
		done := waiting(io, "running "+printable(args[0]))
		err = client.call(cmd.Context(), apiRequest{method: http.MethodPost, path: path + "/run"}, &job)
		done()
		if err != nil {
			return err
		}
		if err := jobResult(job, time.Now()).write(io.out, output.value); err != nil {
			return err
		}
		if job.LastError != "" {
			return fmt.Errorf("job %s failed: %s", printable(job.Name), printable(job.LastError))
		}
		return nil
	}
	return cmd
}

// waiting shows, if somebody looks, that something goes on and for how long, until done is called.
// How far it has come only the server knows.
func waiting(io stdio, what string) (done func()) {
	file, ok := terminalOf(io.err)
	if !ok {
		return func() {}
	}
	drawn := progressbar.NewOptions(-1, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
		progressbar.OptionSpinnerType(asciiSpinner), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	drawn.StartWithoutRender()           // what is over at once is not shown
	return func() { _ = drawn.Finish() } // a terminal that is gone
}

// asciiSpinner is progressbar's number of a spinner of characters that every terminal has.
const asciiSpinner = 9

func jobResult(j jobJSON, now time.Time) result {
	return result{value: j, table: func(w *tabwriter.Writer) {
		fact(w, "Job", j.Name)
		fact(w, "Schedule", j.Schedule)
		fact(w, "State", j.stateText())
		fact(w, "Next run", timeText(j.NextRun, now))
		fact(w, "Last success", timeText(j.LastSuccess, now))
		fact(w, "Last duration", j.durationText())
		fact(w, "Last error", j.LastError)
		fact(w, "Succeeded", strconv.FormatUint(j.Succeeded, 10))
		fact(w, "Failed", strconv.FormatUint(j.Failed, 10))
		fact(w, "Skipped", strconv.FormatUint(j.Skipped, 10))
	}}
}

func (j *jobJSON) stateText() string {
	if j.Running {
		return "running"
	}
	return "idle"
}

// durationText is the duration of the last run for people: "250ms". One that cannot be read is
// shown as it is.
func (j *jobJSON) durationText() string {
	d, err := time.ParseDuration(j.LastDuration)
	switch {
	case err != nil:
		return j.LastDuration
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// jobCompletions are the names of the jobs, with their schedules beside them.
func jobCompletions(ctx context.Context, client *apiClient) ([]cobra.Completion, error) {
	list, err := listJobs(ctx, client)
	var found []cobra.Completion
	for _, j := range list.Jobs {
		found = append(found, cobra.CompletionWithDesc(j.Name, printable(j.Schedule)))
	}
	return found, err
}
