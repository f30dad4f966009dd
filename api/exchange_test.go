package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/pando-ca/pando/api/apitest"
)

// request is one request as both doors take it.
type request struct {
	httpMethod string
	path       string // with the query
	body       []byte // JSON; nil: none
	rpcMethod  string
	message    proto.Message
	answer     proto.Message // an empty one of the type that gRPC answers with
}

// problem is a failure as the REST door tells it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Rule      string `json:"rule"`
}

// overREST returns the status, the body and the stable code, which is "ok" when there is none.
func overREST(t *testing.T, doors *apitest.Doors, client *http.Client, r request) (status int, body []byte, code string) {
	t.Helper()
	outgoing, err := http.NewRequestWithContext(t.Context(), r.httpMethod, doors.URL+r.path, bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.body != nil {
		outgoing.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode < 300 {
		return response.StatusCode, body, "ok"
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s answered %d without a problem document: %s", r.httpMethod, r.path, response.StatusCode, body)
	}
	return response.StatusCode, body, p.Code
}

// overGRPC returns the answer and the stable code, which is "ok" when there is none.
func overGRPC(t *testing.T, conn grpc.ClientConnInterface, r request) (proto.Message, string) {
	t.Helper()
	answer := proto.Clone(r.answer)
	err := conn.Invoke(context.WithoutCancel(t.Context()), r.rpcMethod, r.message, answer)
	if err == nil {
		return answer, "ok"
	}
	info, _ := errorInfo(err)
	if info == nil || info.GetDomain() != "pando" || info.GetMetadata()["request_id"] == "" {
		t.Fatalf("%s failed without an ErrorInfo of pando: %v", r.rpcMethod, err)
	}
	return nil, info.GetReason()
}

// errorInfo returns the details of a failure; nil for those that are missing.
func errorInfo(err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, retry
}

// fromJSON parses JSON as strictly as any client may: unknown fields are an error.
func fromJSON(t *testing.T, data []byte, into proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal(data, into); err != nil {
		t.Fatalf("%s is not a %s: %v", data, into.ProtoReflect().Descriptor().FullName(), err)
	}
}

func toJSON(t *testing.T, message proto.Message) []byte {
	t.Helper()
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
