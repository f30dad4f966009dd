package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// units are the units, and how exposed systemd may find each, from 0 to 10. What runs as a user
// of its own can be shut in more than what gives files to other users.
var units = map[string]string{"pando.service": "15", "pando-agent.service": "30"}

// readUnit returns the lines of a unit that say something.
func readUnit(t *testing.T, name string) (text string, settings map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	settings = make(map[string]string)
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			settings[key] = strings.TrimSpace(settings[key] + " " + value)
		}
	}
	return string(data), settings
}

// TestUnits checks what needs no systemd.
func TestUnits(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"pando.service": {
			"ExecStart": "/usr/bin/pando serve --data /var/lib/pando", "User": "pando", "StateDirectory": "pando", "CapabilityBoundingSet": "",
		},
		"pando-agent.service": {
			"ExecStart": "/usr/bin/pando agent --config /etc/pando/agent.yaml", "ExecReload": "/bin/kill -HUP $MAINPID",
			"StateDirectory": "pando-agent", "CapabilityBoundingSet": "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL",
		},
	} {
		_, settings := readUnit(t, name)
		for key, value := range map[string]string{
			"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
			"MemoryDenyWriteExecute": "yes", "StateDirectoryMode": "0700", "Restart": "on-failure",
		} {
			want[key] = value
		}
		for key, value := range want {
			if got, there := settings[key]; !there || got != value {
				t.Errorf("%s: %s=%s, want %q", name, key, got, value)
			}
		}
	}
}

// TestUnitsBySystemd has systemd judge the units: every setting is known to it, and what they
// are exposed to is little. Where there is no systemd, nobody runs them.
func TestUnitsBySystemd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is for Linux")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("this system has no systemd: scripts/ensure-proxies installs it where it is to be had")
	}
	dir := t.TempDir()
	for name, threshold := range units {
		text, _ := readUnit(t, name)
		path := filepath.Join(dir, name)
		text = strings.ReplaceAll(text, "/usr/bin/pando", "/bin/true") // pando need not be installed here
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+threshold, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
