package main

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// apiError is a refusal by the server: an RFC 9457 problem.
type apiError struct {
	Detail     string `json:"detail"`
	Code       string `json:"code"`
	Rule       string `json:"rule"`
	RequestID  string `json:"request_id"`
	retryAfter string // seconds, empty when the server does not say
}

// Error is one line: what is wrong, and what to quote when asking for help.
func (e *apiError) Error() string {
	facts := []string{"code " + printable(e.Code)}
	if e.Rule != "" {
		facts = append(facts, "rule "+printable(e.Rule))
	}
	if e.RequestID != "" {
		facts = append(facts, "request "+printable(e.RequestID))
	}
	if e.retryAfter != "" {
		facts = append(facts, "try again in "+printable(e.retryAfter)+" s")
	}
	return fmt.Sprintf("%s (%s)", printable(e.Detail), strings.Join(facts, ", "))
}

// answerError makes an error of an answer that is not a success.
func answerError(response *http.Response, body []byte) error {
	problem := &apiError{retryAfter: response.Header.Get("Retry-After")}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/problem+json" || json.Unmarshal(body, problem) != nil || problem.Code == "" {
		err := fmt.Errorf("%s answered %s, not as Pando does: is this its REST address?",
			response.Request.URL.Host, response.Status)
		return withExitCode(gatewayExitCode(response.StatusCode), err)
	}
	return withExitCode(problemExitCode(response.StatusCode), problem)
}

// problemExitCode maps the statuses of the API to exit codes, here and nowhere else.
func problemExitCode(status int) int {
	switch status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	}
	return gatewayExitCode(status)
}

// gatewayExitCode is the code for an answer that may come from something in front of Pando.
func gatewayExitCode(status int) int {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	return exitFailed
}
