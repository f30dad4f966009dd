package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxHealthAnswer bounds what is repeated of an answer: a readiness report is a few lines.
const maxHealthAnswer = 4 << 10

func newHealthCommand(io stdio) *cobra.Command {
	var address string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server of this machine whether it is ready",
		Long: `Ask a server whether it is ready to issue, and exit with 0 if it is and with 5 if it is not or
cannot be reached. It is meant for the health checks of containers, whose image has no other
program.`,
		Example: "  pando health\n  pando health --address localhost:9464",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if err := checkHealth(ctx, address); err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			_, err := fmt.Fprintln(io.out, "ready")
			return err
		},
	}
	cmd.Flags().StringVar(&address, "address", "http://127.0.0.1:9464", "URL of the server's metrics door, or host:port")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// checkHealth returns nil if the server at address says that it is ready.
func checkHealth(ctx context.Context, address string) error {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/healthz/ready", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return withExitCode(exitUnavailable, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	err = fmt.Errorf("%s: %s", response.Status, printable(strings.TrimSpace(string(body))))
	if response.StatusCode == http.StatusServiceUnavailable {
		return withExitCode(exitUnavailable, err)
	}
	return err
}
