//go:build !windows

package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command is a hook that runs a line of shell.
func command(line string) Hook {
	return Hook{Name: "h", Command: []string{"sh", "-c", line}, Timeout: 10 * time.Second}
}

// begin runs a hook until the test ends.
func begin(t *testing.T, cfg Hook) *hook {
	t.Helper()
	h := newHook(cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { h.run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return h
}

// await returns once is reports true of the runs.
func (h *hook) await(t *testing.T, what string, is func(outcomes) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		runs := h.runs
		h.mu.Unlock()
		if is(runs) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never %s: %+v", what, runs)
		}
	}
}

func TestManyRequestsAreOneRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs")
	cfg := command("echo $PANDO_IDENTITIES >>" + file)
	cfg.Delay = 200 * time.Millisecond
	h := begin(t, cfg)
	for _, identity := range []string{"b", "a", "b"} {
		h.request(identity, time.Now())
	}
	h.await(t, "succeeds", func(o outcomes) bool { return o.succeeded > 0 })
	time.Sleep(2 * cfg.Delay) // for a run that must not be
	if data, err := os.ReadFile(file); err != nil || string(data) != "a,b\n" {
		t.Errorf("runs: %q, %v", data, err)
	}
}

func TestAHookThatFailsIsTriedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "there")
	h := begin(t, command("cat "+file))
	end := time.Now().Add(time.Hour)
	h.request("web", end)
	h.await(t, "fails", func(o outcomes) bool { return o.failures > 0 })
	if failure, warning := h.health("web", time.Now()); failure != nil || warning == nil || !strings.Contains(warning.Error(), "No such file") {
		t.Errorf("health: %v, %v", failure, warning)
	}
	if failure, _ := h.health("web", end.Add(time.Second)); failure == nil || !strings.Contains(failure.Error(), "expired at") {
		t.Errorf("health when what the program has is expired: %v", failure)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.await(t, "succeeds", func(o outcomes) bool { return o.succeeded > 0 })
	if failure, warning := h.health("web", end.Add(time.Second)); failure != nil || warning != nil {
		t.Errorf("health after a success: %v, %v", failure, warning)
	}
}

// A command that hangs is ended with all that it has started, and one that leaves something
// behind on purpose has succeeded.
func TestCommandsThatDoNotEnd(t *testing.T) {
	hangs := command("sleep 600 & sleep 600")
	hangs.Timeout = 100 * time.Millisecond
	begun := time.Now()
	err := newHook(hangs, slog.New(slog.DiscardHandler)).do(t.Context(), nil)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	err = newHook(command("sleep 600 & echo $! >"+pid), slog.New(slog.DiscardHandler)).do(t.Context(), nil)
	if err != nil {
		t.Errorf("a command that leaves a process behind: %v", err)
	}
	data, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(left, syscall.SIGKILL); err != nil {
		t.Errorf("what was left behind on purpose is gone: %v", err)
	}
}

func TestTheOutputOfACommandIsLoggedAndBounded(t *testing.T) {
	var log bytes.Buffer
	h := newHook(command("head -c 100000 /dev/zero | tr '\\0' x; echo; echo last words >&2"), slog.New(slog.NewTextHandler(&log, nil)))
	if err := h.do(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `last words`) || log.Len() > 2*maxOutput {
		t.Errorf("%d octets: …%s", log.Len(), log.String()[max(0, log.Len()-100):])
	}
}

func TestASignalReachesTheProcessOfThePIDFile(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR2)
	defer signal.Stop(got)
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHook(Hook{Name: "h", Signal: "USR2", PIDFile: file}, slog.New(slog.DiscardHandler))
	if err := h.do(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	<-got
}

func TestPIDFilesThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"empty":                         {"", 0o644, "does not hold the number"},
		"a word":                        {"nginx", 0o644, "does not hold the number"},
		"every process":                 {"-1", 0o644, "does not hold the number"},
		"the own group":                 {"0", 0o644, "does not hold the number"},
		"the first process":             {"1", 0o644, "does not hold the number"},
		"two numbers":                   {"12 13", 0o644, "does not hold the number"},
		"a process that is not there":   {"2147483646", 0o644, "no such process"},
		"a file that everybody can set": {"12", 0o666, "written by everybody"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			if err := errors.Join(os.WriteFile(file, []byte(test.text), 0o600), os.Chmod(file, test.mode)); err != nil {
				t.Fatal(err)
			}
			if err := sendSignal("HUP", file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The pauses grow, and nobody hammers a program that is broken.
func TestPausesBetweenFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHook(Hook{Name: "h", Signal: "HUP", PIDFile: "/does/not/exist"}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h.request("web", time.Now())
		h.run(ctx)
		if h.runs.failed < 60 || h.runs.failed > 130 {
			t.Errorf("%d tries in an hour", h.runs.failed)
		}
	})
}
