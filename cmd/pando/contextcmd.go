package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca/spiffeid"
)

func newContextCommand(io stdio) *cobra.Command {
	group := newGroup("context", "Choose the server to talk to, and as whom",
		newContextListCommand(io),
		newContextUseCommand(io),
		newContextShowCommand(io),
		newContextSetCommand(io),
		newContextDeleteCommand(io),
		newContextRenewCommand(io),
	)
	group.Long = `Manage contexts. A context has a name and says how to reach one server: its REST address, the
trust bundle that it is verified under, and the administrator's certificate and key. Contexts are
kept in $PANDO_CONTEXT_FILE, by default pando/contexts.yaml in the configuration folder
($XDG_CONFIG_HOME). For one command, --server, --bundle, --cert and --key, or PANDO_SERVER,
PANDO_BUNDLE, PANDO_CERT and PANDO_KEY, go before what the context says.`
	return group
}

// contextRow is a context as it is listed.
type contextRow struct {
	Name        string    `json:"name"`
	Current     bool      `json:"current"`
	Server      string    `json:"server"`
	Bundle      string    `json:"bundle,omitempty"`
	Certificate string    `json:"certificate,omitempty"`
	Key         string    `json:"key,omitempty"`
	TrustDomain string    `json:"trust_domain,omitempty"`
	SPIFFEID    string    `json:"spiffe_id,omitempty"` // of the administrator
	NotAfter    time.Time `json:"not_after,omitzero"`  // of the administrator's certificate
	Problem     string    `json:"problem,omitempty"`   // why the files cannot be used
}

// newContextRow reads the files of a context as far as they can be read: a context whose
// files are gone is listed, too.
func newContextRow(name string, c savedContext, current bool) contextRow {
	r := contextRow{
		Name: name, Current: current, Server: c.Server,
		Bundle: c.Bundle, Certificate: c.Certificate, Key: c.Key,
	}
	var problems []string
	if c.Bundle != "" {
		trust, err := readBundle(c.Bundle)
		if err != nil {
			problems = append(problems, err.Error())
		} else {
			r.TrustDomain = trust.domain.String()
		}
	}
	if c.Certificate != "" {
		pair, err := loadKeyPair(c.Certificate, c.Key)
		if err != nil {
			problems = append(problems, err.Error())
		} else {
			id, err := spiffeid.FromCertificate(pair.Leaf)
			if err != nil {
				problems = append(problems, err.Error())
			}
			r.SPIFFEID, r.NotAfter = id.String(), pair.Leaf.NotAfter
		}
	}
	r.Problem = strings.Join(problems, "; ")
	return r
}

func newContextListCommand(io stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts",
		Example: "  pando context list\n  pando context list -o id",
		Args:    cobra.NoArgs,
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(*cobra.Command, []string) error {
		_, file, err := openContexts()
		if err != nil {
			return err
		}
		rows := []contextRow{}
		for _, name := range slices.Sorted(maps.Keys(file.Contexts)) {
			rows = append(rows, newContextRow(name, file.Contexts[name], name == file.Current))
		}
		return contextsResult(rows, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func openContexts() (string, *contextFile, error) {
	path, err := contextFilePath()
	if err != nil {
		return "", nil, err
	}
	file, err := loadContexts(path)
	return path, file, err
}

func contextsResult(rows []contextRow, now time.Time) result {
	r := result{value: rows, table: func(w *tabwriter.Writer) {
		row(w, "CURRENT", "NAME", "SERVER", "ADMINISTRATOR", "EXPIRES")
		for _, c := range rows {
			mark := ""
			if c.Current {
				mark = "*"
			}
			row(w, mark, c.Name, c.Server, c.SPIFFEID, timeText(c.NotAfter, now))
		}
	}}
	for _, c := range rows {
		r.ids = append(r.ids, c.Name)
	}
	return r
}

func newContextUseCommand(io stdio) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a context the current one",
		Example:           "  pando context use production",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			path, file, err := openContexts()
			if err != nil {
				return err
			}
			if _, err := file.named(args[0]); err != nil {
				return err
			}
			file.Current = args[0]
			if err := file.write(path); err != nil {
				return err
			}
			_, err = fmt.Fprintf(io.out, "context %s is current\n", printable(args[0]))
			return err
		},
	}
}

func newContextShowCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show the settings in force",
		Long: `Show the settings that a command would use: those of the named or the current context, under
flags and environment.`,
		Example:           "  pando context show\n  pando context show production -o json",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeContexts,
	}
	connection.addAdministratorTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			connection.context = args[0]
		}
		c, name, err := connection.resolve()
		if err != nil {
			return err
		}
		if c == (savedContext{}) {
			return withExitCode(exitNotFound, fmt.Errorf("there is no current context; see pando context set --help"))
		}
		_, file, err := openContexts()
		if err != nil {
			return err
		}
		r := newContextRow(name, c, name == file.Current)
		return contextResult(r, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func contextResult(c contextRow, now time.Time) result {
	return result{value: c, table: func(w *tabwriter.Writer) {
		fact(w, "Context", c.Name)
		fact(w, "Server", c.Server)
		fact(w, "Bundle", c.Bundle)
		fact(w, "Trust domain", c.TrustDomain)
		fact(w, "Certificate", c.Certificate)
		fact(w, "Key", c.Key)
		fact(w, "Administrator", c.SPIFFEID)
		fact(w, "Expires", timeText(c.NotAfter, now))
		fact(w, "Problem", c.Problem)
	}}
}

func newContextSetCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	var use bool
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a context, or change one",
		Long: `Make a context, or change what is given of one. The first context becomes the current one.
The files stay where they are; the context holds their paths.`,
		Example: `  pando context set production --server https://pando.example.org:8443 \
      --bundle bundle.pem --cert admin.pem --key admin-key.pem --use
  pando context set production --server https://10.0.0.7:8443`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
	}
	flags := cmd.Flags()
	flags.StringVar(&connection.server, "server", "", "REST `URL` of the server, https://host:port")
	flags.StringVar(&connection.bundle, "bundle", "", "PEM `file` with the roots that the server is verified under")
	flags.StringVar(&connection.certificate, "cert", "", "PEM `file` with the administrator's certificate and chain")
	flags.StringVar(&connection.key, "key", "", "PEM `file` with its key")
	flags.BoolVar(&use, "use", false, "make it the current context")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		path, err := setContext(args[0], connection, use)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(io.out, "context %s is kept in %s\n", printable(args[0]), path)
		return err
	}
	return cmd
}

// setContext puts flags over the context of this name and keeps the outcome, provided that it
// can be used.
func setContext(name string, f *connectionFlags, use bool) (string, error) {
	_, file, err := openContexts()
	if err != nil {
		return "", err
	}
	if (f.certificate == "") != (f.key == "") {
		return "", usageErrorf("--cert and --key go together")
	}
	c := file.Contexts[name]
	c.Server, c.Bundle = firstOf(f.server, c.Server), firstOf(f.bundle, c.Bundle)
	c.Certificate, c.Key = firstOf(f.certificate, c.Certificate), firstOf(f.key, c.Key)
	if name == "" {
		return "", usageErrorf("a context needs a name")
	}
	if _, err := parseServerURL(c.Server); err != nil {
		return "", err
	}
	if c.Bundle == "" {
		return "", usageErrorf("--bundle is needed")
	}
	if r := newContextRow(name, c, use); r.Problem != "" {
		return "", fmt.Errorf("%s", r.Problem)
	}
	return saveContext(name, c, use)
}

func newContextDeleteCommand(io stdio) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Forget a context",
		Long:              "Forget a context. The files that it names stay.",
		Example:           "  pando context delete staging",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			path, file, err := openContexts()
			if err != nil {
				return err
			}
			if _, err := file.named(args[0]); err != nil {
				return err
			}
			delete(file.Contexts, args[0])
			if file.Current == args[0] {
				file.Current = ""
			}
			if err := file.write(path); err != nil {
				return err
			}
			_, err = fmt.Fprintf(io.out, "context %s deleted\n", printable(args[0]))
			return err
		},
	}
}
