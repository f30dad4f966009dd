package deploy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, such as FROM with "scratch".
type instruction struct{ name, text string }

// readDockerfile returns the instructions of each stage.
func readDockerfile(t *testing.T) [][]instruction {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	var stages [][]instruction
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		if name == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) == 0 {
			t.Fatalf("%s stands before the first FROM", name)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, strings.TrimSpace(rest)})
	}
	return stages
}

// find returns the one instruction of this name.
func find(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.text)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d instructions %s: %q", len(found), name, found)
	}
	return found[0]
}

func TestDockerfile(t *testing.T) {
	stages := readDockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("%d stages, want 2", len(stages))
	}
	build, image := stages[0], stages[1]

	t.Run("builds with the Go of go.mod, and without cgo", func(t *testing.T) {
		module, err := os.ReadFile("../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
		if from := find(t, build, "FROM"); !regexp.MustCompile(`^golang:` + regexp.QuoteMeta(string(wanted[1])) + `\.\d+-\w+ AS build$`).MatchString(from) {
			t.Errorf("builds from %q, want a pinned golang:%s", from, wanted[1])
		}
		if !slices.ContainsFunc(build, func(i instruction) bool {
			return i.name == "RUN" && strings.Contains(i.text, "CGO_ENABLED=0 go build") && strings.Contains(i.text, "./cmd/pando")
		}) {
			t.Error("no step builds ./cmd/pando without cgo")
		}
	})
	t.Run("ends in an empty image, as nobody", func(t *testing.T) {
		if from := find(t, image, "FROM"); from != "scratch" {
			t.Errorf("is based on %q", from)
		}
		if user := find(t, image, "USER"); user != "65532:65532" {
			t.Errorf("runs as %q", user)
		}
		for _, i := range image {
			if i.name == "RUN" || i.name == "ADD" {
				t.Errorf("%s %s: there is nothing to run it with, or it fetches what nobody checked", i.name, i.text)
			}
			if i.name == "COPY" && !strings.HasPrefix(i.text, "--from=build ") {
				t.Errorf("COPY %s takes from the working tree", i.text)
			}
		}
	})
	t.Run("runs without a shell", func(t *testing.T) {
		_, check, _ := strings.Cut(find(t, image, "HEALTHCHECK"), "CMD ")
		for name, text := range map[string]string{
			"ENTRYPOINT": find(t, image, "ENTRYPOINT"), "CMD": find(t, image, "CMD"), "HEALTHCHECK": check,
		} {
			var words []string
			if err := json.Unmarshal([]byte(text), &words); err != nil || len(words) == 0 {
				t.Errorf("%s %s is not a list of words", name, text)
			}
		}
	})
	t.Run("exposes what docker-compose.yml publishes", func(t *testing.T) {
		exposed := strings.Fields(find(t, image, "EXPOSE"))
		for _, port := range loadCompose(t, nil).Services["pando"].Ports {
			if !slices.Contains(exposed, port.Published) {
				t.Errorf("port %s is published and not exposed", port.Published)
			}
		}
	})
}
