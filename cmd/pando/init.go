package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// initOptions is what pando init was asked for.
type initOptions struct {
	cfg         config
	written     config // what goes into pando.yaml: cfg without what the environment says
	sealKeyText string // the seal key itself, when the environment holds it
	admin       string // name of the first administrator
	offlineRoot bool   // the root is kept elsewhere, and signs the intermediate
	importFile  string // what it signed; empty: nothing yet
	context     string // name of the context to remember; empty: none
	ifNeeded    bool
}

func newInitCommand(io stdio) *cobra.Command {
	flags := initFlags{admin: "admin"}
	var output string
	cmd := &cobra.Command{
		Use:   "init --trust-domain NAME",
		Short: "Make a CA: root, intermediate, seal key, first administrator",
		Long: `Make a CA: a root and an intermediate, the key that they are sealed under, and the client
certificate of a first administrator. The keys are kept in the database, sealed; the seal key
is a file of mode 0600 in the data directory, or PANDO_SEAL_KEY where that is set. With --key-uri
they are made in a PKCS #11 token instead, and never leave it.

With --offline-root the root is kept elsewhere: init makes the key of the intermediate and a request
for its certificate, and stops. Once the root has signed it, run init again with the same flags and
--import; see docs/keys.md.

Nothing that exists is overwritten. If init is interrupted, run it again with the same flags:
it goes on where it stopped. PANDO_… variables are heeded as by pando serve.`,
		Example: `  pando init --trust-domain example.org --data /var/lib/pando
  pando init --trust-domain example.org --data /var/lib/pando \
      --database postgres://pando@db.example.org/pando --dns-name pando.example.org
  pando init --trust-domain example.org --data /var/lib/pando --offline-root
  pando init --trust-domain example.org --data /var/lib/pando --import intermediate.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usageErrorf("output %q is none of text, json", output)
			}
			options, err := flags.options(os.Environ())
			if err != nil {
				return err
			}
			result, err := initialise(cmd.Context(), options, time.Now())
			if err != nil {
				return err
			}
			return result.write(io.out, output)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// initFlags is the command line of pando init.
type initFlags struct {
	trustDomain  string
	data         string
	database     string
	admin        string
	context      string
	dnsNames     []string
	keyURI       string
	pinFile      string
	offlineRoot  bool
	importFile   string
	root         duration
	intermediate duration
	ifNeeded     bool
}

func (f *initFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.trustDomain, "trust-domain", "", "name of the trust domain, such as example.org")
	flags.StringVar(&f.data, "data", "", "directory to make (default pando-data)")
	flags.StringVar(&f.database, "database", "", "URL of a Postgres database (default: SQLite in the data directory)")
	flags.StringVar(&f.admin, "admin", f.admin, "name of the first administrator")
	flags.StringVar(&f.context, "context", "", "name under which the command line remembers this CA (default: the trust domain; \"none\": it does not)")
	flags.StringSliceVar(&f.dnsNames, "dns-name", nil, "DNS name of the server, more than once if it has several (default localhost)")
	flags.StringVar(&f.keyURI, "key-uri", "", "PKCS #11 URI of the token to make keys in, such as pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=pando (default: sealed in the database)")
	flags.StringVar(&f.pinFile, "pin-file", "", "file with the PIN of the token, unless PANDO_PKCS11_PIN holds it")
	flags.BoolVar(&f.offlineRoot, "offline-root", false, "make no root: print where the request for an intermediate is, and go on with --import")
	flags.StringVar(&f.importFile, "import", "", "go on with the intermediate and the root in this PEM file, which were signed for the request of --offline-root")
	addDuration(cmd, &f.root, "root-lifetime", "lifetime of the root (default 1095d)")
	addDuration(cmd, &f.intermediate, "intermediate-lifetime", "lifetime of the intermediate (default 180d)")
	flags.BoolVar(&f.ifNeeded, "if-needed", false, "succeed and change nothing if the CA is there already")
}

// options puts defaults, environment and flags together, the last first.
func (f *initFlags) options(environ []string) (*initOptions, error) {
	if f.pinFile != "" { // pando.yaml would take it from its own directory
		absolute, err := filepath.Abs(f.pinFile)
		if err != nil {
			return nil, fmt.Errorf("--pin-file: %w", err)
		}
		f.pinFile = absolute
	}
	written := defaultConfig()
	f.apply(&written)
	cfg := defaultConfig()
	if err := overrideConfig(&cfg, environ); err != nil {
		return nil, err
	}
	f.apply(&cfg)
	if cfg.Data == "" {
		cfg.Data = "pando-data"
	}
	if cfg.TrustDomain == "" {
		return nil, usageErrorf("--trust-domain is required, such as example.org")
	}
	written.TrustDomain = cfg.TrustDomain
	o := &initOptions{
		cfg: cfg, written: written, admin: f.admin, context: f.context, ifNeeded: f.ifNeeded,
		sealKeyText: os.Getenv(sealKeyVariable),
		offlineRoot: f.offlineRoot || f.importFile != "", importFile: f.importFile,
	}
	switch f.context {
	case "":
		o.context = cfg.TrustDomain
	case "none":
		o.context = ""
	}
	administrator, err := o.administrator()
	if err != nil {
		return nil, withExitCode(exitUsage, err)
	}
	entry := administratorConfig{SPIFFEID: administrator.String(), Role: "admin"}
	o.written.Administrators = []administratorConfig{entry}
	if err := o.cfg.resolve("."); err != nil {
		return nil, err
	}
	return o, withExitCode(exitUsage, o.cfg.Validate())
}

// apply puts the flags that were given into cfg.
func (f *initFlags) apply(cfg *config) {
	if f.data != "" {
		cfg.Data = f.data
	}
	if f.trustDomain != "" {
		cfg.TrustDomain = f.trustDomain
	}
	if f.database != "" {
		cfg.Database = f.database
	}
	if f.dnsNames != nil {
		cfg.Serving.DNSNames = f.dnsNames
	}
	if f.keyURI != "" {
		cfg.Keys.Backend, cfg.Keys.URI = keysPKCS11, f.keyURI
	}
	if f.pinFile != "" {
		cfg.Keys.PINFile = f.pinFile
	}
	if f.root != 0 {
		cfg.Lifetimes.Root = f.root
	}
	if f.intermediate != 0 {
		cfg.Lifetimes.Intermediate = f.intermediate
	}
}
