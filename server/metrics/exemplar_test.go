package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/metrics"
)

// openMetrics is what Prometheus asks for.
const openMetrics = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"

func TestDurationsNameATrace(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	tests := map[string]struct {
		exemplars bool
		accept    string
		traceID   string
		want      bool
	}{
		"to who asks for OpenMetrics":       {true, openMetrics, id, true},
		"not to who does not":               {true, "text/plain", id, false},
		"not where nothing is traced":       {false, openMetrics, id, false},
		"not for a request without a trace": {true, openMetrics, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(metrics.Config{Exemplars: test.exemplars})
			m.Door("grpc").Request(server.OpSign, "workload", "ok", time.Millisecond, test.traceID)
			asked := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			asked.Header.Set("Accept", test.accept)
			answer := httptest.NewRecorder()
			m.Handler().ServeHTTP(answer, asked)
			text := answer.Body.String()
			if got := strings.Contains(text, `# {trace_id="`+id+`"} 0.001`); got != test.want {
				t.Errorf("there is an exemplar: %v, want %v", got, test.want)
			}
			if !strings.Contains(text, `pando_sign_duration_seconds_count{door="grpc"} 1`) {
				t.Errorf("the request is not counted:\n%s", text)
			}
		})
	}
}
