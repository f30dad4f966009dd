// Package deploy_test checks the files of a deployment as far as that takes no container
// engine: their form, what they refer to, and the program in a root directory like that of
// the image.
package deploy_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose reads docker-compose.yml as `docker compose` does: it is held against the schema
// of the Compose specification, and a cycle of dependencies is refused.
func loadCompose(t *testing.T, environment types.Mapping) *types.Project {
	t.Helper()
	details := types.ConfigDetails{
		WorkingDir:  "..",
		ConfigFiles: []types.ConfigFile{{Filename: "../docker-compose.yml"}},
		Environment: environment,
	}
	project, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.SetProjectName("pando", true)
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeServices(t *testing.T) {
	project := loadCompose(t, nil)
	if got := project.ServiceNames(); !slices.Equal(got, []string{"grafana", "init", "pando", "postgres", "prometheus"}) {
		t.Errorf("services: %v", got)
	}
	for name, service := range project.Services {
		t.Run(name, func(t *testing.T) {
			checkDependencies(t, project, service)
			checkImage(t, service)
			checkMounts(t, project, service)
			for _, port := range service.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("port %s is published on %q", port.Published, port.HostIP)
				}
			}
		})
	}
}

// checkDependencies makes sure that every service waits for what it needs to work, and not
// only to start.
func checkDependencies(t *testing.T, project *types.Project, service types.ServiceConfig) {
	for name, dependency := range service.DependsOn {
		needed := project.Services[name]
		switch dependency.Condition {
		case types.ServiceConditionHealthy:
			if check := needed.HealthCheck; check == nil || check.Disable || len(check.Test) < 2 {
				t.Errorf("waits for the health of %s, which has no health check", name)
			}
		case types.ServiceConditionCompletedSuccessfully:
			if needed.Restart != "no" {
				t.Errorf("waits for the end of %s, which is restarted: %q", name, needed.Restart)
			}
		default:
			t.Errorf("depends on %s under the condition %q", name, dependency.Condition)
		}
	}
	if service.Restart != "no" && (service.HealthCheck == nil || service.HealthCheck.Disable) {
		t.Error("runs for long and has no health check")
	}
}

// checkImage makes sure that two machines run the same thing.
func checkImage(t *testing.T, service types.ServiceConfig) {
	if service.Build != nil {
		if _, err := os.Stat(filepath.Join(service.Build.Context, "Dockerfile")); err != nil {
			t.Error(err)
		}
		return
	}
	if !pinned.MatchString(service.Image) {
		t.Errorf("image %s has no version of three numbers, or of two in Postgres' way", service.Image)
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z]+)?$`)

// checkMounts makes sure that what is mounted exists.
func checkMounts(t *testing.T, project *types.Project, service types.ServiceConfig) {
	for _, volume := range service.Volumes {
		if volume.Type == types.VolumeTypeBind {
			if _, err := os.Stat(volume.Source); err != nil {
				t.Error(err)
			}
			if !volume.ReadOnly {
				t.Errorf("%s is mounted for writing", volume.Source)
			}
			continue
		}
		if _, ok := project.Volumes[volume.Source]; !ok {
			t.Errorf("there is no volume %q", volume.Source)
		}
	}
}

func TestComposeOrder(t *testing.T) {
	project := loadCompose(t, nil)
	wants := map[string][]string{
		"postgres": nil, "init": {"postgres"}, "pando": {"init", "postgres"},
		"prometheus": {"pando"}, "grafana": {"prometheus"},
	}
	for name, want := range wants {
		got := project.Services[name].GetDependencies()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s depends on %v, want %v", name, got, want)
		}
	}
}

func TestComposePasswordsCanBeSet(t *testing.T) {
	project := loadCompose(t, types.Mapping{"POSTGRES_PASSWORD": "one", "GRAFANA_PASSWORD": "two", "TRUST_DOMAIN": "corp.example"})
	value := func(service, name string) string {
		text := project.Services[service].Environment[name]
		if text == nil {
			return ""
		}
		return *text
	}
	if got := value("postgres", "POSTGRES_PASSWORD"); got != "one" {
		t.Errorf("Postgres has the password %q", got)
	}
	for _, service := range []string{"init", "pando"} {
		if got := value(service, "PANDO_DATABASE"); !strings.HasPrefix(got, "postgres://pando:one@postgres:5432/") {
			t.Errorf("%s has the database %q", service, got)
		}
	}
	if got := value("grafana", "GF_SECURITY_ADMIN_PASSWORD"); got != "two" {
		t.Errorf("Grafana has the password %q", got)
	}
	if command := project.Services["init"].Command; !slices.Contains(command, "--trust-domain=corp.example") {
		t.Errorf("init: %q", command)
	}
}
