package door

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// BenchmarkLine is what the line of a request costs: as the server writes it, and as it does not.
func BenchmarkLine(b *testing.B) {
	for name, log := range map[string]*slog.Logger{
		"JSON":     slog.New(slog.NewJSONHandler(io.Discard, nil)),
		"text":     slog.New(slog.NewTextHandler(io.Discard, nil)),
		"disabled": slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})),
	} {
		b.Run(name, func(b *testing.B) {
			gate := Gate{Name: "grpc", Log: log}
			r := Begin("", time.Now())
			r.Op, r.Serial = server.OpSign, "6b08babf13229e2465c5e178588e5c9ea3f7fa"
			r.Caller = policy.Caller{Method: policy.MethodJWT, Subject: "kubernetes system:serviceaccount:shop:web"}
			b.ReportAllocs()
			for b.Loop() {
				gate.End(b.Context(), r, nil)
			}
		})
	}
}
