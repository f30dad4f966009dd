package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// firstRetry and lastRetry bound the pauses after failures: a reload that fails because the
	// program is just being restarted succeeds in a second, and one that fails because its
	// configuration is broken waits for a person.
	firstRetry = time.Second
	lastRetry  = time.Minute

	// pipeDelay is how long after its end the output of a command is waited for, should
	// something that it has started still hold it.
	pipeDelay = time.Second

	// maxOutput is how much of a command's output is logged.
	maxOutput = 4 << 10
)

// hook runs one [Hook], never twice at once.
type hook struct {
	cfg  Hook
	log  *slog.Logger
	wake chan struct{} // holds one when there is something pending

	mu      sync.Mutex           // guards what follows
	pending map[string]time.Time // identity → end of the certificate that the program is to be told of
	told    map[string]time.Time // the same of the last one that it was told of, or of the first of all: it has none that is better
	runs    outcomes
}

// outcomes counts how something went.
type outcomes struct {
	succeeded, failed uint64
	failures          int   // in a row
	last              error // of the last of these
}

func (o *outcomes) add(err error) {
	if err == nil {
		*o = outcomes{succeeded: o.succeeded + 1, failed: o.failed}
		return
	}
	o.failed++
	o.failures++
	o.last = err
}

func newHook(cfg Hook, log *slog.Logger) *hook {
	return &hook{
		cfg: cfg, log: log.With("hook", cfg.Name), wake: make(chan struct{}, 1),
		pending: make(map[string]time.Time), told: make(map[string]time.Time),
	}
}

// request asks for a run, now that the files of an identity hold a certificate until notAfter.
func (h *hook) request(identity string, notAfter time.Time) {
	h.mu.Lock()
	h.pending[identity] = notAfter
	if _, known := h.told[identity]; !known {
		h.told[identity] = notAfter
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run does what is requested until ctx ends. A run that has begun then is not cut short.
func (h *hook) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		if !sleep(ctx, h.cfg.Delay) {
			return
		}
		for {
			failures := h.once(context.WithoutCancel(ctx))
			if failures == 0 {
				break
			}
			if !sleep(ctx, retryPause(failures)) {
				return
			}
		}
	}
}

// once runs the hook for all that is pending, and returns how often in a row it has failed.
func (h *hook) once(ctx context.Context) int {
	h.mu.Lock()
	batch := maps.Clone(h.pending)
	h.mu.Unlock()
	if len(batch) == 0 {
		return 0 // the run before was for all of it
	}

	err := h.do(ctx, slices.Sorted(maps.Keys(batch)))

	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs.add(err)
	if err != nil {
		h.log.WarnContext(ctx, "hook failed", "error", err, "failures", h.runs.failures)
		return h.runs.failures
	}
	for identity, notAfter := range batch {
		h.told[identity] = notAfter
		if h.pending[identity].Equal(notAfter) {
			delete(h.pending, identity)
		}
	}
	return 0
}

// do runs the command or sends the signal.
func (h *hook) do(ctx context.Context, identities []string) error {
	if h.cfg.Signal != "" {
		if err := sendSignal(h.cfg.Signal, h.cfg.PIDFile); err != nil {
			return err
		}
		h.log.InfoContext(ctx, "signal sent", "signal", h.cfg.Signal, "identities", identities)
		return nil
	}
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	output := &tail{limit: maxOutput}
	cmd := exec.CommandContext(limited, h.cfg.Command[0], h.cfg.Command[1:]...)
	cmd.Env = hookEnvironment(h.cfg.Name, identities)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = pipeDelay
	killGroup(cmd)
	err := cmd.Run()
	switch {
	case limited.Err() != nil:
		err = fmt.Errorf("ended after %s: %w", h.cfg.Timeout, limited.Err())
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it did succeed, and left something behind that holds its output
	}
	if err != nil {
		return fmt.Errorf("%s: %w%s", h.cfg.Command[0], err, output.explanation())
	}
	h.log.InfoContext(ctx, "command succeeded", "identities", identities, "took", time.Since(begun).String(), "output", output.String())
	return nil
}

// hookEnvironment is all that a command is told. It is not the environment of the process: a
// service's environment is a place where secrets are.
func hookEnvironment(name string, identities []string) []string {
	env := []string{"PANDO_HOOK=" + name, "PANDO_IDENTITIES=" + strings.Join(identities, ",")}
	for _, variable := range []string{"PATH", "LANG", "TZ", "SYSTEMROOT"} {
		if value, ok := os.LookupEnv(variable); ok {
			env = append(env, variable+"="+value)
		}
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	data  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - t.limit; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.data)) }

// explanation is the output as the end of an error.
func (t *tail) explanation() string {
	if t.String() == "" {
		return ""
	}
	return fmt.Sprintf(": %q", t.String())
}

// retryPause is how long to wait after this many failures in a row: doubling, with jitter.
func retryPause(failures int) time.Duration {
	bound := min(firstRetry<<min(failures-1, 10), lastRetry)
	return bound/2 + rand.N(bound/2) //nolint:gosec // jitter is no secret
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
