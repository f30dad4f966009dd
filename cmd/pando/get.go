package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
)

// getOptions are the flags of get.
type getOptions struct {
	connection   connectionFlags
	fingerprint  string
	token        string
	tokenFile    string
	jwtFile      string
	out          string
	spiffeID     string
	dnsNames     []string
	profile      string
	validity     duration
	keyAlgorithm *choice
	ifDue        bool
}

func newGetCommand(io stdio) *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use:   "get --out DIR",
		Short: "Obtain or renew a workload's certificate",
		Long: `Obtain a certificate for a workload that does not use the client library, and write it to files.

The first run makes a key, shows a join token or a JWT, and writes key.pem (mode 0600), cert.pem
(leaf first, without the root), bundle.pem (the roots to trust) and info.json into DIR. The next run
finds the certificate there and renews it over mutual TLS, with a new key; it needs no token. Run it
from a timer: with --if-due it does nothing until the time at which the server wants the renewal.

DIR/current is a symbolic link to the version in force, and the files are links through it: they
change together, by the rename of that one link. A program that must never see a key of one version
and a certificate of another resolves DIR/current once and reads all files from there.

The server is verified under --bundle, or, when there is no bundle yet, under the root whose
SHA-256 is --fingerprint, which pando init printed. A renewal is verified under DIR/bundle.pem, so
that it follows a change of roots. Server and bundle may also come from a context; an
administrator's certificate is never used.`,
		Example: `  pando get --server https://pando.example.org:8443 --bundle bundle.pem \
      --token-file /run/join-token --out /etc/web
  pando get --server https://pando.example.org:8443 --fingerprint 5F:0A:… \
      --jwt-file /var/run/secrets/tokens/pando --out /etc/web
  pando get --server https://pando.example.org:8443 --out /etc/web --if-due   # from a timer`,
		Args: cobra.NoArgs,
	}
	output := o.addTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		now := time.Now()
		g := &getter{options: o, io: io, now: now}
		info, err := g.get(cmd.Context())
		if err != nil {
			return err
		}
		return infoResult(info, o.out, now).write(io.out, output.value)
	}
	return cmd
}

func (o *getOptions) addTo(cmd *cobra.Command) (output *choice) {
	o.connection.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.fingerprint, "fingerprint", "", "SHA-256 of the root in `hex`, in place of --bundle")
	flags.StringVar(&o.token, "token", "", "join `token` (PANDO_TOKEN; other users may see a command line: prefer --token-file)")
	flags.StringVar(&o.tokenFile, "token-file", "", "`file` with the join token; - is standard input")
	flags.StringVar(&o.jwtFile, "jwt-file", "", "`file` with a JWT, read at each run")
	flags.StringVar(&o.out, "out", "", "`folder` for the files (required)")
	flags.StringVar(&o.spiffeID, "spiffe-id", "", "SPIFFE `ID` that is wanted, where several are allowed")
	flags.StringSliceVar(&o.dnsNames, "dns", nil, "DNS `name` that is wanted; may be repeated (default: all that are allowed)")
	flags.StringVar(&o.profile, "profile", "", "profile that is wanted")
	addDuration(cmd, &o.validity, "duration", "validity period that is wanted, for the first certificate")
	flags.BoolVar(&o.ifDue, "if-due", false, "do nothing unless the certificate is due for renewal")
	completeFlag(cmd, "profile", completeProfiles)
	algorithms := make([]string, 0, len(ca.KeyAlgorithms()))
	for _, a := range ca.KeyAlgorithms() {
		algorithms = append(algorithms, string(a))
	}
	o.keyAlgorithm = addChoice(cmd, "key-algorithm",
		"kind of key: "+strings.Join(algorithms, ", ")+" (default ecdsa-p256, and at a renewal what it was)", algorithms...)
	o.keyAlgorithm.noun = "name"
	return addOutput(cmd, formTable, formJSON, formYAML)
}

func (o *getOptions) check() error {
	given := 0
	for _, credential := range []string{o.token, o.tokenFile, o.jwtFile} {
		if credential != "" {
			given++
		}
	}
	switch {
	case o.out == "":
		return usageErrorf("--out is needed")
	case given > 1:
		return usageErrorf("--token, --token-file and --jwt-file exclude each other")
	case o.validity != 0 && time.Duration(o.validity) < time.Second:
		return usageErrorf("--duration %s is under one second", o.validity)
	}
	if given == 0 {
		o.token = os.Getenv("PANDO_TOKEN")
	}
	return nil
}

// algorithm is the kind of key to make: the one asked for, or else fallback.
func (o *getOptions) algorithm(fallback ca.KeyAlgorithm) ca.KeyAlgorithm {
	return ca.KeyAlgorithm(firstOf(o.keyAlgorithm.value, string(fallback)))
}

// hasCredential reports whether a token or a JWT was given.
func (o *getOptions) hasCredential() bool {
	return o.token != "" || o.tokenFile != "" || o.jwtFile != ""
}

// credential reads the join token or the JWT.
// Without one, why it is needed is the error.
func (o *getOptions) credential(in io.Reader, why string) (string, error) {
	var data []byte
	var err error
	switch path := firstOf(o.tokenFile, o.jwtFile); {
	case o.token != "":
		data = []byte(o.token)
	case path == "":
		return "", usageErrorf("%s: --token, --token-file or --jwt-file is needed", why)
	case path == "-":
		data, err = io.ReadAll(io.LimitReader(in, maxCredential))
	default:
		data, err = os.ReadFile(path)
	}
	text := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", fmt.Errorf("read token: %w", err)
	case text == "" || strings.ContainsAny(text, " \t\r\n"):
		return "", errors.New("the token is empty, or is more than one word") // its text is not shown
	}
	return text, nil
}

// maxCredential is far more than any token has.
const maxCredential = 64 << 10

func infoResult(info *credentialInfo, dir string, now time.Time) result {
	return result{value: info, table: func(w *tabwriter.Writer) {
		fact(w, "SPIFFE ID", info.SPIFFEID)
		fact(w, "Serial", info.Serial)
		fact(w, "Not after", timeText(info.NotAfter, now))
		fact(w, "Renew from", timeText(info.Renewal.Start, now))
		fact(w, "Files", dir+"/{key.pem,cert.pem,bundle.pem,info.json}")
	}}
}
