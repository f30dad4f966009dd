package ca

// Compare is what Sign asks of a signed certificate before it lets it go.
var Compare = compare
