//go:build !pkcs11

package keystore

func login(TokenConfig) (session, error) { return nil, ErrNoPKCS11 }
