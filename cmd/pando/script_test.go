package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this binary as pando.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pando": main})
}

// Each script drives the real binary, most of them against a real server on SQLite. What a
// script can use besides testscript's own commands is in scriptCommands.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               setupScript,
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// setupScript gives a script ports of its own and a context file, so that init and serve need
// no flags for them and nothing of the developer's is touched.
func setupScript(env *testscript.Env) error {
	env.Setenv("PANDO_CONTEXT_FILE", filepath.Join(env.WorkDir, "config", "contexts.yaml"))
	for _, door := range []string{"REST", "GRPC", "PUBLIC", "METRICS"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv("PANDO_LISTEN_"+door, net.JoinHostPort("127.0.0.1", port))
		env.Setenv(door+"_PORT", port)
	}
	env.Setenv("SERVER", "https://localhost:"+env.Getenv("REST_PORT"))
	return nil
}

// freePort finds a port that nobody listens on at the moment.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits":     exits,
		"jwt":       makeJWT,
		"let":       let,
		"mode":      mode,
		"waitready": waitReady,
	}
}

// exits CODE COMMAND... runs a command that must end with exactly this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// let NAME FILE puts the content of a file, or of stdout, into a variable.
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let name file")
	}
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if text == "" {
		ts.Fatalf("%s is empty", args[1])
	}
	ts.Setenv(args[0], text)
}

// mode OCTAL FILE checks the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode octal file")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// startupTime bounds the wait for a server on a machine that is busy with other tests.
const startupTime = time.Minute

// waitready waits until the server of the script is ready.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: waitready")
	}
	client := &http.Client{Timeout: time.Second}
	url := "http://127.0.0.1:" + ts.Getenv("METRICS_PORT") + "/healthz/ready"
	for deadline := time.Now().Add(startupTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get(url)
		if err != nil {
			continue
		}
		ts.Check(response.Body.Close())
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server is not ready after %s", startupTime)
}
