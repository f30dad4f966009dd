package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/ca/keystore"
)

func newConfigCommand(io stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	var output string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in force",
		Long: `Print the configuration in force: the defaults, the configuration file, and the
PANDO_… variables of the environment, which override each other in this order.
Passwords are not printed. It fails if the configuration is not valid, or a file of an issuer
cannot be used. It does not look at the database, the seal key or the network, as serve does.`,
		Example: "  pando config --data /var/lib/pando\n  pando config --config pando.yaml -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := source.load()
			if err != nil {
				return err
			}
			if err := writeConfig(io.out, cfg, output); err != nil {
				return err
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			_, err = cfg.issuers()
			return err
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	return cmd
}

// flags makes a command take a configuration.
func (s *configSource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.file, "config", "c", "", "configuration file (default DATA/pando.yaml, or ./pando.yaml)")
	cmd.Flags().StringVar(&s.data, "data", "", "directory with pando.yaml, the seal key and, without a database, the records")
}

// writeConfig prints a configuration without its secrets.
func writeConfig(out io.Writer, cfg config, format string) error {
	cfg.Database = redactDatabase(cfg.Database)
	if cfg.Keys.URI != "" && keystore.ValidTokenURI(cfg.Keys.URI) != nil {
		cfg.Keys.URI = "(not shown: not valid, and there may be a PIN in it)"
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	switch format {
	case "yaml":
		_, err := out.Write(text)
		return err
	case "json":
		var tree map[string]any // the keys are those of the YAML
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return fmt.Errorf("print configuration: %w", err)
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(tree)
	}
	return usageErrorf("output %q is none of yaml, json", format)
}

// redactDatabase hides the password in a database URL, in both places where it may be. Of a
// text that is not such a URL nothing is shown.
func redactDatabase(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || validDatabase(text) != nil {
		return "(not shown: not a URL)"
	}
	query := u.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if query.Has(key) {
			query.Set(key, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}
