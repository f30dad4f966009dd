package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds the wait for a server that starts, which may have to recover first.
const startTimeout = 60 * time.Second

// Config configures a server. The zero value is right for tests.
type Config struct {
	// BinDir holds initdb and postgres. Empty means to look for them; see FindBinaries.
	BinDir string
	// Durable keeps fsync and full_page_writes on, as benchmarks need. Otherwise they are
	// off, and the data survives a kill of the server but not of the machine.
	Durable bool
	// Settings are more settings of postgresql.conf, such as listen_addresses: without, nobody
	// can connect but over the Unix socket.
	Settings map[string]string
	// Port is that of TCP, which is part of the name of the Unix socket too. 0: 5432.
	Port int
}

// Server is a running server, or one that was stopped and can be started again. Its methods
// are not safe for concurrent use.
type Server struct {
	cfg  Config
	user account
	dir  string // holds data/, log and the socket

	process *os.Process   // nil while the server is stopped
	exited  chan struct{} // closed when process has ended
}

// Start makes a database cluster and starts a server on it. Its owner calls Stop.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Port == 0 {
		cfg.Port = 5432
	}
	if cfg.BinDir == "" {
		found, err := FindBinaries()
		if err != nil {
			return nil, err
		}
		cfg.BinDir = found
	}
	user, err := serverAccount()
	if err != nil {
		return nil, err
	}
	// Short, and not under TMPDIR: the path of a Unix socket has at most 107 octets.
	dir, err := os.MkdirTemp("/tmp", "pando-pg-")
	if err != nil {
		return nil, fmt.Errorf("make directory of the server: %w", err)
	}
	s := &Server{cfg: cfg, user: user, dir: dir}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// create runs initdb.
func (s *Server) create(ctx context.Context) error {
	if err := s.user.own(s.dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.cfg.BinDir, "initdb"),
		"--pgdata", s.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir = s.dir
	cmd.SysProcAttr = s.user.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// Restart starts a server that was stopped or killed, and waits until it answers.
func (s *Server) Restart(ctx context.Context) error {
	if s.process != nil {
		return errors.New("server is running")
	}
	args := []string{
		"-D", s.data(), "-k", s.dir, "-p", strconv.Itoa(s.cfg.Port), "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "logging_collector=off",
	}
	if !s.cfg.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for name, value := range s.cfg.Settings {
		args = append(args, "-c", name+"="+value)
	}
	cmd := exec.Command(filepath.Join(s.cfg.BinDir, "postgres"), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = s.user.attributes()
	log, err := os.Create(s.log())
	if err != nil {
		return fmt.Errorf("make log of postgres: %w", err)
	}
	defer log.Close() // the server has its own descriptor
	cmd.Stderr = log

	started := make(chan error)
	s.exited = make(chan struct{})
	go func(exited chan struct{}) {
		// The kernel ties the life of the child to this thread; see attributes.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is of no interest: it was told to, or it is in the log
		}
		close(exited)
	}(s.exited)
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.process = cmd.Process
	return s.await(ctx)
}

// await returns when the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			s.process = nil
			text, err := os.ReadFile(s.log())
			return errors.Join(fmt.Errorf("postgres ended at once: %s", text), err)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for postgres: %w", err), s.end(syscall.SIGQUIT))
		case <-retry.C:
		}
	}
}

// URL is the connection string of a database of this server, for the superuser.
func (s *Server) URL(database string) string {
	query := url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.cfg.Port)}, "user": {"postgres"}}
	return "postgres:///" + url.PathEscape(database) + "?" + query.Encode()
}

// SocketPath is the Unix socket that the server listens on.
func (s *Server) SocketPath() string {
	return filepath.Join(s.dir, ".s.PGSQL."+strconv.Itoa(s.cfg.Port))
}

// Stop ends the server, breaking the connections that are open, and removes its data.
// The server cannot be started again.
func (s *Server) Stop() error {
	return errors.Join(s.end(syscall.SIGINT), os.RemoveAll(s.dir))
}

// Kill ends the server as a crash does: without a checkpoint, without a word to the clients.
// Restart starts it again.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

// end sends a signal to the server and waits until it is gone.
func (s *Server) end(signal os.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres: %w", err)
	}
	<-s.exited
	s.process = nil
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }
