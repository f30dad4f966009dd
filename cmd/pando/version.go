package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what `pando version` prints.
type buildVersion struct {
	Version  string `json:"version"`  // module version, or (devel)
	Revision string `json:"revision"` // commit, empty when it is not known
	Time     string `json:"time"`     // of the commit, RFC 3339
	Modified bool   `json:"modified"` // whether the tree had uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(io stdio) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		Example: "  pando version\n  pando version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			switch output {
			case "text":
				_, err := fmt.Fprintf(io.out, "pando %s %s %s %s\n", v.Version, v.shortRevision(), v.Go, v.Platform)
				return err
			case "json":
				encoder := json.NewEncoder(io.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(v)
			}
			return usageErrorf("output %q is none of text, json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// readVersion takes what the Go toolchain put into the binary.
func readVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (v buildVersion) shortRevision() string {
	switch {
	case v.Revision == "":
		return "unknown"
	case v.Modified:
		return v.Revision[:min(12, len(v.Revision))] + "+modified"
	}
	return v.Revision[:min(12, len(v.Revision))]
}
