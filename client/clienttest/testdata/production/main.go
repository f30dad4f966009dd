// Package main is a program that takes the double for a CA.
package main

import "github.com/pando-ca/pando/client/clienttest"

func main() { clienttest.Start(clienttest.Options{}) }
