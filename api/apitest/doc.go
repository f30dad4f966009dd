// Package apitest runs both doors on loopback TLS, over one service on SQLite in memory and a
// throw-away PKI, with a client for each role. It is for the tests of the doors, and for
// those of clients.
//
//	doors := apitest.New(t, apitest.Options{})
//	response, err := doors.HTTP(t, apitest.Admin).Get(doors.URL + "/v1/entries")
package apitest
