package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

const (
	demoTrustDomain = "demo.example.org"
	demoProfile     = "demo"
)

// demoOptions is the command line of pando demo.
type demoOptions struct {
	data     string
	duration duration // 0: until it is interrupted
	lifetime duration // of the workloads' certificates
}

func newDemoCommand(io stdio) *cobra.Command {
	options := demoOptions{lifetime: duration(6 * time.Second)}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job: two workloads talk mutual TLS while their certificates are renewed",
		Long: `Show the main job. demo makes a throw-away CA in a local directory and runs its server; it
enrols two workloads with join tokens through the public API, and has them exchange requests over
mutual TLS without a pause, with new handshakes all the time and over kept connections, while
their certificates, which live for seconds, are renewed and swapped under them.

It ends with Ctrl-C or after --duration, prints a summary, and fails if one request or one
handshake failed.`,
		Example: "  pando demo\n  pando demo --duration 30s --lifetime 4s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if time.Duration(options.lifetime) < 2*time.Second || time.Duration(options.lifetime) > time.Hour {
				return usageErrorf("--lifetime %s is not between 2s and 1h", options.lifetime)
			}
			if cmd.Flags().Changed("duration") && options.duration <= 0 {
				return usageErrorf("--duration %s is not above zero", options.duration)
			}
			return runDemo(cmd.Context(), &options, io.out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.data, "data", "pando-demo", "`directory` to make the CA in; one of an earlier demo is replaced")
	addDuration(cmd, &options.duration, "duration", "end after this time, such as 30s (default: when interrupted)")
	flags.Var(&options.lifetime, "lifetime", "lifetime of the workloads' certificates")
	return cmd
}

// runDemo makes a CA, runs its server and lets two workloads talk until the time is up.
func runDemo(ctx context.Context, o *demoOptions, out io.Writer) error {
	leave, err := enterDemo(ctx, o.data)
	if err != nil {
		return err
	}
	defer leave()
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.duration))
		defer cancel()
	}
	d, err := newDemo(ctx, o, out)
	if err != nil {
		return err
	}
	// The server outlives the workloads, so that none of them sees it go.
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	var serving errgroup.Group
	serving.Go(func() error { return d.serve(serverCtx, stopServer) })
	err = d.run(ctx, serverCtx)
	stopServer()
	return errors.Join(err, serving.Wait())
}

// demo is a CA in a directory, and the two workloads.
type demo struct {
	cfg     config
	daemon  *daemon
	printer *demoPrinter
	files   demoFiles
}

// newDemo makes the CA and everything of its server up to open listeners.
func newDemo(ctx context.Context, o *demoOptions, out io.Writer) (*demo, error) {
	d := &demo{printer: newDemoPrinter(out)}
	options, err := d.configure(o)
	if err != nil {
		return nil, err
	}
	made, err := initialise(ctx, options, time.Now())
	if err != nil {
		return nil, err
	}
	// Such a profile is what an operator would write into pando.yaml.
	options.cfg.Administrators = options.written.Administrators
	d.cfg = options.cfg
	log := newLog(d.printer.logWriter(), &d.cfg.Log)
	if d.daemon, err = newDaemon(ctx, &d.cfg, "", log); err != nil {
		return nil, err
	}
	d.printer.event("ca", "root %s and intermediate %s of trust domain %s made in %s",
		made.Authorities[0].ID, made.Authorities[1].ID, demoTrustDomain, o.data)
	return d, d.remember(made)
}

// configure is pando init's options for a CA that only this machine can reach.
func (d *demo) configure(o *demoOptions) (*initOptions, error) {
	flags := initFlags{trustDomain: demoTrustDomain, data: o.data, admin: "admin", context: "none"}
	options, err := flags.options(nil)
	if err != nil {
		return nil, err
	}
	options.sealKeyText = ""
	for _, cfg := range []*config{&options.cfg, &options.written} {
		cfg.Profiles = []profileConfig{{Name: demoProfile, Duration: &o.lifetime, MaxDuration: &o.lifetime}}
		cfg.Log = logConfig{Format: "text", Level: "warn"}
	}
	listen, err := demoAddresses()
	if err != nil {
		return nil, err
	}
	options.cfg.Listen, options.written.Listen = listen, listen
	return options, nil
}

// demoAddresses are the usual ports on loopback, or free ones where those are taken.
func demoAddresses() (listenConfig, error) {
	usual := defaultConfig().Listen
	var err error
	pick := func(address string) string {
		_, port, splitErr := net.SplitHostPort(address)
		err = errors.Join(err, splitErr)
		for _, candidate := range []string{port, "0"} {
			l, listenErr := net.Listen("tcp", net.JoinHostPort("127.0.0.1", candidate))
			if listenErr != nil {
				continue
			}
			defer l.Close()
			return l.Addr().String()
		}
		err = errors.Join(err, errors.New("no free port"))
		return ""
	}
	listen := listenConfig{REST: pick(usual.REST), GRPC: pick(usual.GRPC), Public: pick(usual.Public), Metrics: pick(usual.Metrics)}
	return listen, err
}

// demoFiles are what the lines for a second terminal refer to.
type demoFiles struct {
	bundle  string
	context string
	admin   *madeAdmin
}

// remember writes the context file.
func (d *demo) remember(made *initResult) error {
	d.files = demoFiles{bundle: made.Bundle, context: filepath.Join(made.Data, "contexts.yaml"), admin: made.Admin}
	contexts := contextFile{Current: "demo", Contexts: map[string]savedContext{"demo": {
		Server: d.restURL(), Bundle: made.Bundle, Certificate: made.Admin.Certificate, Key: made.Admin.Key,
	}}}
	return contexts.write(d.files.context)
}

func (d *demo) restURL() string { return "https://" + d.cfg.Listen.REST }

// serve runs the server; if it fails, it stops the demo.
func (d *demo) serve(ctx context.Context, stop context.CancelFunc) error {
	defer stop()
	err := d.daemon.run(ctx)
	return errors.Join(err, d.daemon.close())
}

// run enrols the workloads and lets them talk until ctx ends or the server does.
func (d *demo) run(ctx, server context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(server, cancel)()
	pair, err := d.enrol(ctx)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil // interrupted before anything could fail
		}
		return err
	}
	if err := d.printHints(ctx); err != nil {
		return errors.Join(err, pair.close())
	}
	err = pair.talk(ctx)
	return errors.Join(err, pair.close(), d.printer.summary(pair))
}

// demoHints is what can be pasted into a second terminal. curl shows the token of an entry
// made for it, with a key made by openssl.
var demoHints = template.Must(template.New("hints").Parse(`
Try it from a second terminal:

  # a certificate for a key of openssl's, with curl; the token is good for one
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {{.Dir}}/curl.key -out {{.Dir}}/curl.csr -subj /
  curl --cacert {{.Bundle}} -H 'Content-Type: application/pkcs10' -H 'Authorization: Bearer {{.Token}}' \
    --data-binary @{{.Dir}}/curl.csr https://localhost:{{.Port}}/v1/certificates | tee {{.Dir}}/curl.pem | openssl x509 -noout -text

  # what was issued, by the administrator
  PANDO_CONTEXT_FILE={{.Context}} {{.Program}} cert list

  # metrics and health
  curl http://{{.Metrics}}/metrics
  curl http://{{.Metrics}}/healthz/ready

`))

func (d *demo) printHints(ctx context.Context) error {
	token, err := d.token(ctx, "curl")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(d.cfg.Listen.REST)
	if err != nil {
		return err
	}
	return d.printer.locked(func(w io.Writer) error {
		return demoHints.Execute(w, map[string]string{
			"Dir": shortPath(d.cfg.Data), "Bundle": shortPath(d.files.bundle), "Context": shortPath(d.files.context),
			"Token": token, "Port": port, "Metrics": d.cfg.Listen.Metrics, "Program": os.Args[0],
		})
	})
}

// shortPath is a path as somebody in the current directory would type it.
func shortPath(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}
