package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user of the image.
const nobody = 65532

// image is a root directory with what the image has in it: the program, /data and /tmp.
type image struct {
	root string
	jail bool // whether the program sees root as /
}

// newImage builds the program as the Dockerfile does. As root, it runs in a root directory of
// its own and as nobody; as anybody else, in an empty directory and without an environment,
// which is as close as it gets without privileges.
func newImage(t *testing.T) *image {
	t.Helper()
	i := &image{root: t.TempDir(), jail: os.Getuid() == 0}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(i.root, "pando"), "../cmd/pando")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	for _, dir := range []string{"data", "tmp"} {
		path := filepath.Join(i.root, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if i.jail {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	return i
}

// path is a path of the image as the program sees it.
func (i *image) path(name string) string {
	if i.jail {
		return name
	}
	return filepath.Join(i.root, name)
}

func (i *image) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, i.path("/pando"), args...)
	cmd.Dir = i.path("/data")
	cmd.Env = []string{ // any free port will do
		"PANDO_LISTEN_REST=127.0.0.1:0", "PANDO_LISTEN_GRPC=127.0.0.1:0",
		"PANDO_LISTEN_PUBLIC=127.0.0.1:0", "PANDO_LISTEN_METRICS=127.0.0.1:0",
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if i.jail {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: i.root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		}
	}
	return cmd
}

// run runs one command to its end.
func (i *image) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := i.command(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pando %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestImage(t *testing.T) {
	i := newImage(t)
	if runtime.GOOS == "linux" {
		checkStatic(t, filepath.Join(i.root, "pando"))
	}
	if out := i.run(t, "version"); !strings.HasPrefix(out, "pando ") {
		t.Errorf("version: %s", out)
	}

	// The commands of docker-compose.yml, without its database.
	init := i.inside(loadCompose(t, nil).Services["init"].Command)
	i.run(t, init...)
	key := filepath.Join(i.root, "data", "seal.key")
	first, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	i.run(t, init...)
	if second, err := os.ReadFile(key); err != nil || !bytes.Equal(first, second) {
		t.Errorf("a second init changed the seal key: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	serve := i.command(ctx, i.inside(loadCompose(t, nil).Services["pando"].Command)...)
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	address := awaitServing(t, lines)
	if out := i.run(t, "health", "--address", "http://"+address); !strings.HasSuffix(strings.TrimSpace(out), " ready") {
		t.Errorf("health: %s", out)
	}
	stop()
	for lines.Scan() { // so that it is not held up by a full pipe
	}
	// A process that was asked to stop and exits with 0 makes Wait return the context's error.
	if err := serve.Wait(); serve.ProcessState.ExitCode() != 0 {
		t.Errorf("serve ended with %v", err)
	}
}

// inside is a command with the paths of the image as the program sees them.
func (i *image) inside(command []string) []string {
	words := make([]string, len(command))
	for n, word := range command {
		words[n] = strings.ReplaceAll(word, "=/data", "="+i.path("/data"))
	}
	return words
}

// awaitServing reads the log up to the line that tells the addresses, and returns that of the
// metrics door.
func awaitServing(t *testing.T, log *bufio.Scanner) string {
	t.Helper()
	var seen strings.Builder
	for log.Scan() {
		seen.Write(log.Bytes())
		var line struct{ Msg, Metrics string }
		if err := json.Unmarshal(log.Bytes(), &line); err == nil && line.Msg == "serving" {
			return line.Metrics
		}
	}
	t.Fatalf("serve never served: %s", seen.String())
	return ""
}

// checkStatic makes sure that the program needs no loader and no library.
func checkStatic(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a loader")
		}
	}
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %v (%v)", libraries, err)
	}
}
