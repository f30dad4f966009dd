package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/agent"
)

func newAgentCommand(io stdio) *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use:   "agent --config FILE",
		Short: "Keep certificates in files for programs that do not link the client library",
		Long: `Obtain certificates, renew them, and keep them in files, for programs such as nginx, HAProxy and
databases, until SIGTERM or SIGINT. The files of an identity change together, by the switch of
one symbolic link; then a command is run or a signal sent, so that the program reads them again.
New roots of the CA are followed in the same way.

A restart keeps the identity, also while the CA is away. Health that names each identity is at
/healthz/ready, metrics at /metrics. SIGHUP reads the configuration again; one that is not valid
is refused, and the one before stays in force.

docs/agent.md has every key of the configuration, and the way from nothing to nginx with mutual TLS.`,
		Example: "  pando agent --config /etc/pando/agent.yaml\n  pando agent --config agent.yaml --check",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadAgentConfig(path)
			if err != nil {
				return err
			}
			log := newLog(io.err, &cfg.Log)
			a, err := cfg.open(log)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if check {
				_, err := fmt.Fprintf(io.out, "%s is valid: %d identities\n", path, len(cfg.Identities))
				return err
			}
			return (&agentRunner{path: path, cfg: cfg, log: log}).run(cmd.Context(), a)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/pando/agent.yaml", "configuration `file`")
	cmd.Flags().BoolVar(&check, "check", false, "only say whether the configuration is valid, and the files that it names are there")
	return cmd
}

// open checks everything that can be checked without asking anybody.
func (c *agentConfig) open(log *slog.Logger) (*agent.Agent, error) {
	cfg, err := c.agent()
	if err != nil {
		return nil, err
	}
	cfg.Log = log
	return agent.New(cfg)
}

// agentRunner runs one agent after the other, each with the configuration of its time.
type agentRunner struct {
	path string
	cfg  *agentConfig
	log  *slog.Logger

	current atomic.Pointer[agentView]
}

// agentView is what is shown of an agent.
type agentView struct {
	agent   *agent.Agent
	metrics http.Handler
}

// run runs the agent until ctx ends, and its successors after each SIGHUP.
func (r *agentRunner) run(ctx context.Context, a *agent.Agent) error {
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	r.show(a)
	shut, err := r.listen()
	if err != nil {
		return err
	}
	defer shut()
	for {
		next, err := r.runUntil(ctx, a, hangUp)
		if next == nil {
			r.log.InfoContext(ctx, "stopped")
			return err
		}
		a = next
	}
}

// runUntil runs one agent until it ends, or there is another one to be run in its place.
func (r *agentRunner) runUntil(ctx context.Context, a *agent.Agent, hangUp <-chan os.Signal) (next *agent.Agent, err error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(running) }()
	r.log.InfoContext(ctx, "running", "identities", len(r.cfg.Identities), "listen", r.cfg.Listen)
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-hangUp:
			next, err := r.reload()
			if err != nil {
				r.log.ErrorContext(ctx, "new configuration refused, the one before stays in force", "error", err)
				continue
			}
			stop()
			if err := <-ended; err != nil || ctx.Err() != nil {
				return nil, err
			}
			r.log.InfoContext(ctx, "new configuration in force")
			r.show(next)
			return next, nil
		}
	}
}

// reload reads the configuration again.
func (r *agentRunner) reload() (*agent.Agent, error) {
	cfg, err := loadAgentConfig(r.path)
	if err != nil {
		return nil, err
	}
	if cfg.Listen != r.cfg.Listen || cfg.StateDirectory != r.cfg.StateDirectory || cfg.Log != r.cfg.Log {
		return nil, errors.New("listen, state_directory and log need a restart to change")
	}
	next, err := cfg.open(r.log)
	if err == nil {
		r.cfg = cfg
	}
	return next, err
}

// show makes the endpoints those of an agent.
func (r *agentRunner) show(a *agent.Agent) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.Collector())
	r.current.Store(&agentView{agent: a, metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})})
}

// listen serves health and metrics until shut is called.
func (r *agentRunner) listen() (shut func(), err error) {
	if r.cfg.Listen == "" {
		return func() {}, nil
	}
	listener, err := listenAgent(r.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, q *http.Request) { r.current.Load().agent.ServeLive(w, q) })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, q *http.Request) { r.current.Load().agent.ServeReady(w, q) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, q *http.Request) { r.current.Load().metrics.ServeHTTP(w, q) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelWarn)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Close only
	}()
	return func() {
		_ = server.Close()
		<-served
	}, nil
}

// listenAgent listens on host:port or on unix:PATH. A socket that a crash has left is replaced,
// one on which somebody answers is not.
func listenAgent(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if conn, err := net.Dial("unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("somebody listens on %s already", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return net.Listen("unix", path)
}
