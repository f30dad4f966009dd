package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestExitCodeIsThatOfTheError(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"none":                {nil, exitOK},
		"any other":           {errors.New("x"), exitFailed},
		"with a code":         {withExitCode(exitDenied, errors.New("x")), exitDenied},
		"with a code, deeper": {fmt.Errorf("x: %w", withExitCode(exitUnavailable, errors.New("x"))), exitUnavailable},
		"of usage":            {usageErrorf("x"), exitUsage},
		"none with a code":    {withExitCode(exitDenied, nil), exitOK},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestWrongUsageEndsWithTwo(t *testing.T) {
	for _, line := range []string{"nonsense", "--nonsense", "version x", "version --nonsense", "version -o xml", "entry", "entry nonsense", "serve now", "completion", "completion tcsh", "completion bash x"} {
		code, out, errs := runPando(t, strings.Fields(line)...)
		if code != exitUsage || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "pando: ") {
			t.Errorf("pando %s: exit code %d, %q, %q", line, code, out, errs)
		}
	}
}

func TestTheBareNamePrintsHelp(t *testing.T) {
	code, out, errs := runPando(t)
	if code != exitOK || !strings.Contains(out, "Available Commands:") || errs != "" {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	code, out, _ := runPando(t, "version")
	if code != exitOK || !strings.HasPrefix(out, "pando ") || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d: %q", code, out)
	}
	code, out, _ = runPando(t, "version", "-o", "json")
	var v buildVersion
	if err := json.Unmarshal([]byte(out), &v); code != exitOK || err != nil || v.Go == "" || v.Version == "" {
		t.Errorf("exit code %d, %v: %q", code, err, out)
	}
}
