package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// defaultTimeout bounds one command. Listing a page and signing take milliseconds; what is
// not back by then will not come.
const defaultTimeout = 30 * time.Second

// connectionFlags say which server a command talks to, and as whom. A flag goes before its
// environment variable, and that before the context.
type connectionFlags struct {
	context     string
	server      string
	bundle      string
	certificate string
	key         string
	timeout     time.Duration
}

// addTo adds the flags of every command that talks to a server, to cmd and all below it.
func (f *connectionFlags) addTo(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.context, "context", "", "`name` of the context to use (PANDO_CONTEXT; default: the current one)")
	flags.StringVar(&f.server, "server", "", "REST `URL` of the server, https://host:port (PANDO_SERVER)")
	flags.StringVar(&f.bundle, "bundle", "", "PEM `file` with the roots that the server is verified under (PANDO_BUNDLE)")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "give up on a request after this `duration`")
	completeFlag(cmd, "context", completeContexts)
}

// addAdministratorTo adds the flags of commands that need an administrator.
func (f *connectionFlags) addAdministratorTo(cmd *cobra.Command) {
	f.addTo(cmd)
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.certificate, "cert", "", "PEM `file` with the administrator's certificate and chain (PANDO_CERT)")
	flags.StringVar(&f.key, "key", "", "PEM `file` with its key (PANDO_KEY)")
}

// resolve finds the settings in force and the name of the context that they come from, which
// is empty when flags and environment say everything.
func (f *connectionFlags) resolve() (savedContext, string, error) {
	path, err := contextFilePath()
	if err != nil {
		return savedContext{}, "", err
	}
	file, err := loadContexts(path)
	if err != nil {
		return savedContext{}, "", err
	}
	name := firstOf(f.context, os.Getenv("PANDO_CONTEXT"), file.Current)
	var c savedContext
	if name != "" {
		if c, err = file.named(name); err != nil {
			return c, "", err
		}
	}
	c, err = f.override(c)
	return c, name, err
}

// override puts flags and environment over what a context says.
func (f *connectionFlags) override(c savedContext) (savedContext, error) {
	certificate := firstOf(f.certificate, os.Getenv("PANDO_CERT"))
	key := firstOf(f.key, os.Getenv("PANDO_KEY"))
	if (certificate == "") != (key == "") {
		// One of each kind from different places would only be found out later, as a
		// pair that does not match.
		return c, usageErrorf("--cert and --key (PANDO_CERT and PANDO_KEY) go together")
	}
	c.Server = firstOf(f.server, os.Getenv("PANDO_SERVER"), c.Server)
	c.Bundle = firstOf(f.bundle, os.Getenv("PANDO_BUNDLE"), c.Bundle)
	c.Certificate = firstOf(certificate, c.Certificate)
	c.Key = firstOf(key, c.Key)
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// dial makes a client for an administrator. It warns on io.err of a certificate that will
// expire soon, and refuses one that has.
func (f *connectionFlags) dial(io stdio, now time.Time) (*apiClient, error) {
	c, name, err := f.resolve()
	if err != nil {
		return nil, err
	}
	if c.Certificate == "" {
		return nil, usageErrorf("an administrator's certificate is needed: --cert and --key, or a context; see pando context set --help")
	}
	certificate, err := loadKeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	if err := checkExpiry(io.err, certificate.Leaf, name, now); err != nil {
		return nil, err
	}
	return f.client(c, certificate)
}

// client makes a client for the server of c. Without a certificate it is anonymous.
func (f *connectionFlags) client(c savedContext, certificate *tls.Certificate) (*apiClient, error) {
	server, err := parseServerURL(c.Server)
	if err != nil {
		return nil, err
	}
	if c.Bundle == "" {
		return nil, usageErrorf("the server's trust bundle is needed: --bundle, or a context; see pando context set --help")
	}
	roots, err := readBundle(c.Bundle)
	if err != nil {
		return nil, err
	}
	return newAPIClient(clientConfig{Server: server, Trust: roots, Certificate: certificate, Timeout: f.timeout}), nil
}

// parseServerURL takes the address of the REST door. Plain HTTP is refused: what is sent
// there would be read, and what comes back could be from anybody.
func parseServerURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, usageErrorf("the server is needed: --server, PANDO_SERVER or a context; see pando context set --help")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, usageErrorf("server: %v", err)
	case u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, usageErrorf("server %q is not of the form https://host:port", text)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// expiryWarning is the part of a certificate's life at whose beginning people are warned:
// an administrator who looks in once a week has more than one chance to see it.
const expiryWarning = 0.25

// checkExpiry refuses a certificate that is no longer valid, and warns on w near its end.
func checkExpiry(w io.Writer, leaf *x509.Certificate, contextName string, now time.Time) error {
	left := leaf.NotAfter.Sub(now)
	if left <= 0 {
		return expiredError(leaf, now)
	}
	if lifetime := leaf.NotAfter.Sub(leaf.NotBefore); float64(left) < expiryWarning*float64(lifetime) {
		renew := "pando context renew"
		if contextName != "" {
			renew += " " + contextName
		}
		fmt.Fprintf(w, "pando: warning: the administrator's certificate expires %s; renew it with: %s\n",
			timeText(leaf.NotAfter, now), renew)
	}
	return nil
}

// expiredError says how to go on without a certificate that works.
func expiredError(leaf *x509.Certificate, now time.Time) error {
	return withExitCode(exitDenied, fmt.Errorf("the administrator's certificate expired %s; pando recover makes a new one on the server's machine, "+
		"and another administrator can with pando cert sign", timeText(leaf.NotAfter, now)))
}
