package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// authorityCSRRequestJSON asks for the request of an intermediate.
type authorityCSRRequestJSON struct {
	Renew bool `json:"renew,omitempty"`
}

// authorityCSRJSON is a key that waits for its certificate.
type authorityCSRJSON struct {
	Role      string    `json:"role"`
	CSR       string    `json:"csr"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
}

// importAuthorityJSON is an intermediate that was signed for a request.
type importAuthorityJSON struct {
	Chain string `json:"chain"`
}

func newAuthorityCSRCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var request authorityCSRRequestJSON
	cmd := &cobra.Command{
		Use:   "csr",
		Short: "Request an intermediate from a root that is kept elsewhere",
		Long: `Print the certification request of an intermediate whose certificate is to be signed by a root
that is kept elsewhere. Pando makes the key and keeps it, sealed or in its token. While a request
waits for its certificate the same one is printed again, by every replica. It takes the role admin.

The certificate comes back with pando authority import.`,
		Example: `  pando authority csr > intermediate.csr
  pando authority csr --renew > intermediate.csr`,
		Args: cobra.NoArgs,
	}
	addChoice(cmd, "role", "what the key is for", "intermediate")
	cmd.Flags().BoolVar(&request.Renew, "renew", false, "give up the request that waits, with its key, and make another one")
	output := addOutput(cmd, formPEM, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var made authorityCSRJSON
		err = client.call(cmd.Context(), apiRequest{method: http.MethodPost, path: authoritiesPath + "/csr", body: request}, &made)
		if err != nil {
			return err
		}
		return result{value: made, pem: made.CSR, table: func(w *tabwriter.Writer) {
			fact(w, "Role", made.Role)
			fact(w, "Created", timeText(made.CreatedAt, now))
			fact(w, "Created by", made.CreatedBy)
		}}.write(io.out, output.value)
	}
	return cmd
}

func newAuthorityImportCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Adopt an intermediate that was signed for the request",
		Long: `Adopt the intermediate that was signed for the request of pando authority csr. FILE ("-" is
standard input) holds its certificate in PEM, and behind it its root, which may be left out when
it is an authority already.

Under the active root the intermediate issues at once, and the one before it is retiring. A root
that is not known yet is prepared, with the intermediate: it is published, and activated once it
has spread, as in any other rotation. What does not fit is refused, and nothing is changed. It
takes the role admin.`,
		Example: `  pando authority import intermediate.pem
  cat intermediate.pem root.pem | pando authority import - -o json`,
		Args: cobra.ExactArgs(1),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		chain, err := readInput(io.in, args[0])
		if err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var added authorityListJSON
		request := apiRequest{method: http.MethodPost, path: authoritiesPath + "/import", body: importAuthorityJSON{string(chain)}}
		if err := client.call(cmd.Context(), request, &added); err != nil {
			return err
		}
		return authoritiesResult(added, now).write(io.out, output.value)
	}
	return cmd
}

// maxInput is more than the certificates of an import need.
const maxInput = 64 << 10

// readInput reads a file, or standard input for "-".
func readInput(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("%s is larger than %d octets", name, maxInput)
	}
	return data, err
}
